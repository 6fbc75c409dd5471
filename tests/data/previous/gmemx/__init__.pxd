# Makes gmemx a package that other extensions can cimport from.
