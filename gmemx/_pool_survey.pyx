"""Pools seen from outside: what there is, who holds it, what to remove."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, uint8_t, uint64_t

from gmemx cimport libgmemx
from gmemx._pool_arguments cimport name_of
from gmemx.status cimport check_pool

from gmemx.errors import PoolError, PoolMissingError


cdef class Survey:
    def __dealloc__(self):
        libgmemx.gmem_survey_free(self.ptr)

    cdef libgmemx.gmem_pool_stats figures(self) except *:
        cdef libgmemx.gmem_pool_stats figures
        check_pool(libgmemx.gmem_survey_stats(self.ptr, &figures))
        return figures

    cdef object stats(self):
        # Here and below, as making dataclasses would be a large part of importing gmemx.
        from gmemx._pool_data import PoolStats

        cdef libgmemx.gmem_pool_stats figures = self.figures()
        return PoolStats(
            capacity=figures.capacity, size=figures.size, committed=figures.committed,
            used=figures.used, used_bytes=figures.used_bytes, free=figures.free,
            pins=figures.pins, in_flight=figures.in_flight, processes=figures.processes,
            max_processes=figures.max_processes, reclaimed=figures.reclaimed,
            created=figures.created, mode=figures.mode,
        )

    cdef list buffers(self):
        cdef libgmemx.gmem_buffer_info info
        cdef size_t i
        from gmemx._pool_data import BufferInfo

        found = []
        for i in range(self.figures().used):
            check_pool(libgmemx.gmem_survey_buffer(self.ptr, i, &info))
            found.append(BufferInfo(
                handle=info.handle, index=info.index, size=info.size, holders=info.holders,
                pins=info.pins, producer=info.producer, on_device=info.on_device,
                sealed=info.sealed, in_flight=info.in_flight,
            ))
        return found

    cdef list processes(self):
        cdef libgmemx.gmem_process_info info
        cdef size_t i
        from gmemx._pool_data import ProcessInfo

        found = []
        for i in range(self.figures().processes):
            check_pool(libgmemx.gmem_survey_process(self.ptr, i, &info))
            found.append(ProcessInfo(
                pid=info.pid, since=info.since, holds=info.holds, alive=info.alive))
        return found


cdef Survey survey_of(const libgmemx.gmem_pool* pool):
    cdef Survey survey = Survey.__new__(Survey)
    with nogil:
        check_pool(libgmemx.gmem_pool_survey(pool, &survey.ptr))
    return survey


def stat(name):
    """Look at a pool without opening it.

    Parameters
    ----------
    name : str

    Returns
    -------
    PoolInfo
        Its figures, buffers and processes, also where these are all dead.

    Raises
    ------
    PoolMissingError, PoolAccessError, PoolArgumentError
        As `BufferPool.open`.

    Examples
    --------
    >>> import os
    >>> from gmemx import BufferPool
    >>> from gmemx.pool import stat
    >>> name = f"/stat-{os.getpid()}"
    >>> with BufferPool(name, capacity=16) as pool, pool.acquire_cpu(100):
    ...     info = stat(name)
    >>> info.alive, info.stats.used_bytes, info.processes[0].pid == os.getpid()
    (True, 100, True)
    """
    cdef Survey survey = Survey.__new__(Survey)
    cdef bytes title = name_of(name)
    cdef const char* text = title
    with nogil:
        check_pool(libgmemx.gmem_survey_new(text, &survey.ptr))
    from gmemx._pool_data import PoolInfo

    return PoolInfo(
        name=name, alive=libgmemx.gmem_survey_alive(survey.ptr), stats=survey.stats(),
        buffers=tuple(survey.buffers()), processes=tuple(survey.processes()),
    )


def list_pools():
    """All pools of this machine that have a name.

    Returns
    -------
    list of PoolInfo
        One that may not be looked at has no figures, and a `problem` that says why.

    Examples
    --------
    >>> import os
    >>> from gmemx import BufferPool
    >>> from gmemx.pool import list_pools
    >>> with BufferPool(f"list-{os.getpid()}") as pool:
    ...     print(pool.name in [info.name for info in list_pools()])
    True
    """
    from gmemx._pool_data import PoolInfo

    found = []
    for name in pool_names():
        try:
            found.append(stat(name))
        except PoolMissingError:
            # Gone since.
            pass
        except PoolError as error:
            found.append(PoolInfo(name=name, alive=False, stats=None, problem=str(error)))
    return found


cdef list pool_names():
    cdef size_t room = 0, needed = 0
    cdef int32_t status
    cdef uint8_t* names
    while True:
        with nogil:
            check_pool(libgmemx.gmem_pool_list(NULL, 0, &room))
        if room == 0:
            return []
        names = <uint8_t*> PyMem_Malloc(room)
        if names is NULL:
            raise MemoryError("there is no memory for the names of all pools")
        try:
            with nogil:
                status = libgmemx.gmem_pool_list(names, room, &needed)
            # Another pool may have come in between.
            if status != libgmemx.GMEM_STATUS_OUT_OF_RANGE:
                check_pool(status)
                text = (<char*> names)[:needed].decode("utf-8", "replace")
                return text.split("\0")[:-1]
        finally:
            PyMem_Free(names)


def gc():
    """Remove the pools whose processes are all dead.

    Returns
    -------
    pools : int
        How many were removed.
    nbytes : int
        How many bytes of shared memory they had.

    Examples
    --------
    >>> from gmemx import pool
    >>> removed, nbytes = pool.gc()
    >>> removed >= 0, nbytes >= 0
    (True, True)
    """
    cdef uint64_t pools = 0, nbytes = 0
    with nogil:
        check_pool(libgmemx.gmem_pool_gc(&pools, &nbytes))
    return pools, nbytes
