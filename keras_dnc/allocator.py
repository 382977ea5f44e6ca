"""How the process gets its memory from the system."""

import ctypes

# The names and numbers of glibc's malloc.h; the largest value of the first is
# half of the largest heap, 32 MiB.
_M_MMAP_THRESHOLD, _MMAP_THRESHOLD = -3, 2**25
_M_TRIM_THRESHOLD, _TRIM_THRESHOLD = -1, 2**31 - 1


def keep_freed_memory() -> bool:
    """Tells the C library to keep what is freed, for the next allocation.

    A training step allocates the states of all time steps and frees them.
    glibc hands such memory back to the system, which then clears every page
    for the next step: about a third of a small step's time. Where the C
    library is another, nothing is changed.

    Returns:
        Whether the C library took the setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    took_threshold = mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)
    took_trim = mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
    return bool(took_threshold and took_trim)
