/* Frames by the unwinder, which needs no frame pointers, and the linker's word on who they belong to. */
#include "base/frames.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { MOST = 48, TOLD = 4 };

void gcb_frames_load(void) {
  void *frame;
  (void)backtrace(&frame, 1);
}

static bool is_plugin(const char *library) {
  const char *name = strrchr(library, '/');
  return name && strcmp(name, "/plugin.so") == 0; /* core.build._PLUGIN in Python */
}

/* false: nobody knows whose it is */
static bool find(const void *frame, Dl_info *found, size_t *offset) {
  if (!dladdr(frame, found) || !found->dli_fname)
    return false;
  *offset = (size_t)((const char *)frame - (const char *)found->dli_fbase);
  return true;
}

void gcb_describe_callers(char *text, size_t capacity) {
  void *frames[MOST];
  int count = backtrace(frames, MOST), told = 0;
  size_t used = 0;
  text[0] = 0;
  for (int i = 0; i < count && told < TOLD; i++) {
    Dl_info found;
    size_t offset;
    if (!find(frames[i], &found, &offset) || !is_plugin(found.dli_fname))
      continue;
    /* what is returned to is behind the call */
    int wrote = snprintf(text + used, capacity - used, " <%s+0x%zx>", found.dli_fname, offset - 1);
    if (wrote < 0 || (size_t)wrote >= capacity - used) {
      text[used] = 0;
      return;
    }
    used += (size_t)wrote;
    told++;
  }
}

/* Where the signal came; null: nobody knows how this processor tells it. */
static const void *interrupted(const void *context) {
#if defined(__x86_64__)
  return (const void *)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
  return (const void *)((const ucontext_t *)context)->uc_mcontext.pc;
#else
  (void)context;
  return NULL;
#endif
}

static bool is_ours(const char *library) {
  return is_plugin(library) || strstr(library, "gcbarrier"); /* the core, and the module over it */
}

void gcb_print_frames(const void *context) {
  void *frames[MOST];
  int count = backtrace(frames, MOST), first = 0;
  const void *at = interrupted(context);
  for (int i = 0; i < count && at; i++)
    if (frames[i] == at)
      first = i; /* what is above that is the handler's */
  for (int i = first, ours = 0; i < count; i++) {
    Dl_info found;
    size_t offset;
    if (!find(frames[i], &found, &offset))
      continue;
    if (is_ours(found.dli_fname))
      ours++;
    else if (ours)
      break; /* the interpreter, or the thread's start */
    /* What is returned to is behind the call. dprintf() formats numbers and texts on the stack. */
    dprintf(STDERR_FILENO, "  <%s+0x%zx>\n", found.dli_fname, frames[i] == at ? offset : offset - 1);
  }
}
