/* Loading compiled plug-ins. */
#include "base/library.h"
#include "include/error.h"

#include <dlfcn.h>

void *gcb_open_library(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    gcb_set_error("%s", dlerror());
  return library;
}

void gcb_close_library(void *library) {
  dlclose(library);
}

void *gcb_find_symbol(void *library, const char *name) {
  return dlsym(library, name);
}
