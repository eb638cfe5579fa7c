/* Windows' write watch over a page barrier: GetWriteWatch() and ResetWriteWatch() (memoryapi.h), call for
 * call.
 *
 * What VirtualAlloc(MEM_WRITE_WATCH) is there, gcb_begin_write_watch() is here, for the whole of a space
 * without mutators. Addresses are of its tracked view, gcb_space_address(). Every function returns 0, or -1
 * with the reason in gcb_error(): for arguments that Windows refuses, and where the barrier fails.
 *
 * A granule that was written is remembered until it is reset: by the GetWriteWatch() that returns it, or by a
 * ResetWriteWatch() of a range that holds it. Calls are one thread's at a time. Writers may run meanwhile if
 * the barrier is atomic; if it is not, they must be at rest while anything is reset. As in Windows, what is
 * written between a look without reset and a reset is reset unseen. */
#ifndef GCB_WRITE_WATCH_H
#define GCB_WRITE_WATCH_H

#include <stddef.h>
#include <stdint.h>

struct gcb_space;

#define GCB_WRITE_WATCH_FLAG_RESET 1u

/* Watches all writes from now on; nothing counts as written yet. Again: the same, all over. */
int gcb_begin_write_watch(struct gcb_space *space);

/* The written granules that [base, base + size) touches, as the addresses at which they begin, in ascending
 * order. *count is the length of `addresses`, at least 1, and becomes the number of those returned; where
 * there are more, these are the first. With GCB_WRITE_WATCH_FLAG_RESET just those returned are reset.
 * *granularity becomes the bytes of a granule. */
int gcb_get_write_watch(struct gcb_space *space, uint32_t flags, void *base, size_t size, void **addresses,
                        size_t *count, uint32_t *granularity);

/* Resets every granule that [base, base + size) touches. */
int gcb_reset_write_watch(struct gcb_space *space, void *base, size_t size);

#endif
