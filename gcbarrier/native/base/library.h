/* Compiled plug-ins. */
#ifndef GCB_LIBRARY_H
#define GCB_LIBRARY_H

/* Null: gcb_error() tells why it can't be loaded. What was found useful is never unloaded: its code may run,
 * and a file is not loaded twice. */
void *gcb_open_library(const char *path);
/* Of one that turned out not to be what was asked for. */
void gcb_close_library(void *library);
/* What it calls `name`; null: nothing. */
void *gcb_find_symbol(void *library, const char *name);

#endif
