"""What plugins log, brought to Python.

A plugin logs on any thread, at any time, also while the interpreter ends. So its messages
wait in the core, which needs no Python, until a thread of this module fetches them. There is
one for the whole process; it ends before the interpreter does.
"""

from libc.stdint cimport UINT64_MAX, uint64_t
from libcpp cimport bool

from gmemx cimport libgmemx
from gmemx._plugin_instance cimport Instance

import atexit
import logging
import os
import weakref
from threading import Lock, Thread, get_ident

from gmemx._plugin_types import LogLevel

LOG = logging.getLogger("gmemx.plugin")

# Python's levels for the plugins'.
cdef list PYTHON_LEVELS = [5, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
cdef list LEVELS = [LogLevel(number) for number in range(5)]

# Loggers by what plugins call their sources. A plugin may make up any number of names, and
# loggers are never freed: beyond so many all share one.
cdef dict LOGGERS = {}
cdef enum:
    MOST_LOGGERS = 1024

# Those that are listened to, weakly, by address; and the threads that are delivering.
cdef dict SOURCES = {}
cdef set DELIVERING = set()

# The thread that delivers, None where there is none.
cdef object drainer = None
cdef object starting = Lock()
cdef bint ending = False


cdef int listen(Instance instance) except -1:
    global drainer
    cdef size_t key = <size_t> <void*> instance
    SOURCES[key] = weakref.ref(instance, lambda gone: SOURCES.pop(key, None))
    with starting:
        if drainer is None and not ending:
            made = Thread(target=_drain, name="gmemx-plugin-logs", daemon=True)
            made.start()
            drainer = made
    return 0


def _drain():
    """What the thread does."""
    cdef uint64_t seen = 0
    while not ending:
        with nogil:
            seen = libgmemx.gmem_plugin_log_wait(seen, UINT64_MAX)
        deliver_all()


cdef int deliver_all() except -1:
    for reference in list(SOURCES.values()):
        instance = reference()
        if instance is not None:
            try:
                flush(instance, -1.0)
            except BaseException:
                # A thread of nobody's has nobody to raise it to.
                LOG.exception("a message of a plugin could not be delivered")
            # Not kept until the next message comes, which may be never.
            instance = None
    return 0


cdef bint flush(Instance instance, double seconds) except -1:
    cdef libgmemx.gmem_plugin_log message
    cdef bool some = True
    me = get_ident()
    if me in DELIVERING or not instance.logs:
        return not instance.logs
    if not instance.delivery.acquire(timeout=-1 if seconds < 0.0 else seconds):
        return False
    DELIVERING.add(me)
    try:
        libgmemx.gmem_plugin_log_delivering(True)
        while True:
            if libgmemx.gmem_plugin_log_next(instance.ptr, &message, &some) != 0 or not some:
                break
            try:
                deliver(instance, &message)
            finally:
                libgmemx.gmem_plugin_log_free(&message)
        tell_of_dropped(instance)
    finally:
        libgmemx.gmem_plugin_log_delivering(False)
        DELIVERING.discard(me)
        instance.delivery.release()
    return True


cdef int deliver(Instance instance, const libgmemx.gmem_plugin_log* message) except -1:
    return tell(
        instance.callback, instance.path, message.level,
        (<const char*> message.target)[:message.target_len],
        (<const char*> message.message)[:message.message_len])


cdef int tell(object callback, str path, int number, bytes source, bytes text) except -1:
    cdef int level = min(number, 4)
    if callback is None:
        logger = logger_of(source)
        if logger.isEnabledFor(PYTHON_LEVELS[level]):
            # The text is no format: it may have percent signs.
            logger.log(PYTHON_LEVELS[level], "%s", text.decode("utf-8", "replace"))
        return 0
    try:
        callback(LEVELS[level], source.decode("utf-8", "replace"), text.decode("utf-8", "replace"))
    except Exception:
        LOG.exception("the log callback of %s failed", path)
    return 0


def _tell(callback, path, number, source, text):
    """Delivers one message of a plugin in another process."""
    me = get_ident()
    DELIVERING.add(me)
    libgmemx.gmem_plugin_log_delivering(True)
    try:
        tell(callback, path, number, source, text)
    finally:
        libgmemx.gmem_plugin_log_delivering(False)
        DELIVERING.discard(me)


def _is_delivering():
    """Whether this thread is in a log callback."""
    return get_ident() in DELIVERING


cdef object logger_of(bytes source):
    logger = LOGGERS.get(source)
    if logger is None:
        if len(LOGGERS) >= MOST_LOGGERS:
            return LOG
        name = source.decode("utf-8", "replace").replace("::", ".").strip(".")
        logger = LOGGERS[source] = LOG.getChild(name) if name else LOG
    return logger


cdef int tell_of_dropped(Instance instance) except -1:
    cdef uint64_t dropped = libgmemx.gmem_plugin_log_dropped(instance.ptr)
    if dropped > instance.told:
        more, instance.told = dropped - instance.told, dropped
        LOG.warning("%d log messages of %s were dropped: it logs faster than they are read",
                    more, instance.path)
    return 0


def _end():
    """Before the interpreter ends: a last look, and nothing of Python is called after it."""
    global ending, drainer
    ending = True
    thread, drainer = drainer, None
    if thread is not None:
        for _ in range(100):
            libgmemx.gmem_plugin_log_wake()
            thread.join(0.05)
            if not thread.is_alive():
                deliver_all()
                break
        # Else a callback has not come back for seconds; it is left where it is.
    SOURCES.clear()


def _forked():
    """The child has none of the threads, and plugins from before the fork are not its own."""
    global drainer, starting
    drainer, starting = None, Lock()
    DELIVERING.clear()
    for reference in list(SOURCES.values()):
        instance = reference()
        if instance is not None:
            silence(instance)
    SOURCES.clear()


cdef int silence(Instance instance) except -1:
    instance.logs = False
    return 0


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
