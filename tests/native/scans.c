/* How often a scan of the page tables asks the kernel, by the number of runs of written pages; told as words.
 *
 * Compiled with --wrap=ioctl: the calls are counted, and go on to the kernel. */
#include "pagetables.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

static int scans;

int __real_ioctl(int descriptor, unsigned long request, ...);
int __wrap_ioctl(int descriptor, unsigned long request, ...);

int __wrap_ioctl(int descriptor, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  scans += request == GCB_PAGEMAP_SCAN;
  return __real_ioctl(descriptor, request, argument);
}

int gcb_set_error(const char *format, ...) {
  fprintf(stderr, "%s\n", format);
  return -1;
}

int main(int count, char **words) {
  size_t runs = count > 1 ? strtoul(words[1], NULL, 10) : 0, pages = 2 * runs + 2;
  char *base =
      mmap(NULL, pages << GCB_PAGE_SHIFT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  gcb_barrier barrier = {.range = {.base = base, .bytes = pages << GCB_PAGE_SHIFT}};
  gcb_dirty_set dirty = {0};
  if (base == MAP_FAILED || gcb_dirty_new(&dirty, pages) || !gcb_pagetables_open(&barrier) ||
      gcb_uffd_register(&barrier) || gcb_uffd_protect(&barrier, 0, pages))
    return 1;
  for (size_t run = 0; run < runs; run++)
    base[(2 * run + 1) << GCB_PAGE_SHIFT] = 1;
  if (gcb_pagemap_scan(&barrier, GCB_PAGE_IS_WRITTEN, GCB_SCAN_WP_MATCHING, &dirty))
    return 1;
  printf("found %zu scans %d", dirty.count, scans);
  gcb_dirty_free(&dirty);
  gcb_pagetables_close(&barrier);
  return 0;
}
