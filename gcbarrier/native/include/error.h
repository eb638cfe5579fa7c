/* Why a call failed. */
#ifndef GCB_ERROR_H
#define GCB_ERROR_H

/* The calling thread's last error, as a sentence's end; "" where there was none. The first returns -1. */
int gcb_set_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *gcb_error(void);

#endif
