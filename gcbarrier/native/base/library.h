/* Compiled plug-ins. */
#ifndef GCB_LIBRARY_H
#define GCB_LIBRARY_H

/* Null: gcb_error() tells why it can't be loaded. Nothing is unloaded again. */
void *gcb_open_library(const char *path);
/* What it calls `name`; null: nothing. */
void *gcb_find_symbol(void *library, const char *name);

#endif
