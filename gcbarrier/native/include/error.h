/* include/: the contracts, for whoever is none of the core's: gcbarrier.h for heaps, barrier.h and
 * pagetables.h for barriers, prototype.h for those in Python, runtime.h and event.h for a collector with
 * memory of its own, write_watch.h for C programs, records.h for Python. They include one another and nothing
 * else, and a plug-in sees nothing else. Next: base/events.h, what keeps the events.
 *
 * Why a call failed. */
#ifndef GCB_ERROR_H
#define GCB_ERROR_H

/* The calling thread's last error, as a sentence's end; "" where there was none. The first returns -1. */
int gcb_set_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *gcb_error(void);

#endif
