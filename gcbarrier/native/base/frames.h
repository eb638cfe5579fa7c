/* Where a thread is: its functions, from the innermost on, each as <library+0xoffset>, which
 * gcbarrier.core.places turns into functions, files and lines. */
#ifndef GCB_FRAMES_H
#define GCB_FRAMES_H

#include <stddef.h>

void gcb_frames_load(void); /* once, before a signal handler asks for any: the unwinder is loaded on demand */
/* Of the calling thread, a blank before each; only those that lie in plug-ins, four at most. */
void gcb_describe_callers(char *text, size_t capacity);
/* Of the calling thread, a line each, to standard error: as far as they are ours, and what those have called.
 * For signal handlers, with the `context` that they get. */
void gcb_print_frames(const void *context);

#endif
