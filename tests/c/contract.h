/* How a promise of gmemx.h is checked, for every part of the program. */

#ifndef CONTRACT_H
#define CONTRACT_H

#include <stdio.h>
#include <string.h>

#include "gmemx.h"

/* How many promises are broken. */
extern int broken;

#define CHECK(promise)                                                          \
    do {                                                                        \
        if (!(promise)) {                                                       \
            printf("%s:%d: broken: %s (last error: %s)\n", __FILE__, __LINE__,  \
                   #promise, gmem_last_error());                                \
            broken++;                                                           \
        }                                                                       \
    } while (0)

/* The status is the wanted one, and the text mentions what was wrong. */
#define FAILS(call, wanted, mention)                                            \
    do {                                                                        \
        CHECK((call) == (wanted));                                              \
        CHECK(strstr(gmem_last_error(), (mention)) != NULL);                    \
    } while (0)

#define IS_NULL_ARGUMENT(call, name) FAILS(call, GMEM_STATUS_NULL_ARGUMENT, name)

/* What is promised of arrays, in contract_arrays.c. */
void arrays(void);

/* What is promised of contexts in files, in contract_store.c. */
void store(void);

/* What is promised of shared pools, in contract_pools.c. */
void pools(void);

/* What is promised of the scanner, in contract_scans.c. */
void scans(void);

/* What is promised of plugins, in contract_plugins.c. */
void plugins(void);

#endif
