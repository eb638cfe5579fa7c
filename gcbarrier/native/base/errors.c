/* The error that a call leaves. */
#include "include/error.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last_error[1024];

int gcb_set_error(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  return -1;
}

const char *gcb_error(void) {
  return last_error;
}
