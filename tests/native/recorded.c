/* A program that does to its memory what it is told, a line at a time, for tests/native/test_recorder.py. It
 * answers each line with one of its own. What it needs for that lies in its .bss and on its stack. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

static char line[1 << 16];
static char initialised[3 * PAGE] = {1}; /* .data: a file's pages until they are written */
static int own = -1;

static void answer(const char *text, uint64_t number) {
  char out[128];
  int bytes = snprintf(out, sizeof out, "%s %llu\n", text, (unsigned long long)number);
  if (write(1, out, (size_t)bytes) != bytes)
    _exit(9);
}

static int hear(void) {
  size_t at = 0;
  while (at < sizeof line - 1 && read(0, line + at, 1) == 1)
    if (line[at++] == '\n') {
      line[at - 1] = 0;
      return 1;
    }
  return 0;
}

static void store(char *start, char *list) {
  for (char *word = strtok(list, ","); word != NULL; word = strtok(NULL, ","))
    start[strtoul(word, NULL, 10) * PAGE]++;
}

struct sweep {
  char *start;
  uint64_t pages, step;
};

/* Stores once to each page, in an order that goes all over the range: the step has no divisor in common with
 * it. */
static void *sweep(void *argument) {
  const struct sweep *job = argument;
  for (uint64_t i = 0; i < job->pages; i++)
    *(volatile char *)(job->start + i * job->step % job->pages * PAGE) = 2;
  return NULL;
}

static struct sweep job;
static pthread_t thread;

static uint64_t own_uffd(char *start, uint64_t bytes) {
  own = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);
  struct uffdio_api api = {.api = UFFD_API, .features = (1ull << 13) | (1ull << 15)};
  struct uffdio_register wanted = {.range = {(uintptr_t)start, bytes}, .mode = UFFDIO_REGISTER_MODE_WP};
  struct uffdio_writeprotect armed = {.range = {(uintptr_t)start, bytes},
                                      .mode = UFFDIO_WRITEPROTECT_MODE_WP};
  if (own < 0 || ioctl(own, UFFDIO_API, &api) || ioctl(own, UFFDIO_REGISTER, &wanted) ||
      ioctl(own, UFFDIO_WRITEPROTECT, &armed))
    return (uint64_t)errno;
  return 0;
}

/* Of its own pagemap: the first 64 pages that are not write-protected, a bit each. */
static uint64_t own_written(const char *start, uint64_t bytes) {
  uint64_t found = 0, entries[64];
  int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  uint64_t pages = bytes / PAGE < 64 ? bytes / PAGE : 64;
  if (pread(file, entries, pages * 8, (off_t)((uintptr_t)start / PAGE * 8)) != (ssize_t)(pages * 8))
    _exit(8);
  close(file);
  for (uint64_t i = 0; i < pages; i++)
    found |= (uint64_t)!(entries[i] >> 57 & 1) << i;
  return found;
}

int main(int count, char **arguments) {
  answer(count > 1 ? arguments[1] : "up", (uint64_t)getpid());
  while (hear()) {
    char what[32], rest[1 << 15] = "";
    uint64_t a = 0, b = 0;
    sscanf(line, "%31s %" SCNu64 " %" SCNu64 " %32767s", what, &a, &b, rest);
    char *start = (char *)(uintptr_t)a;
    if (!strcmp(what, "map")) /* pages, protection; rest: a file to map */
    {
      int file = rest[0] ? open(rest + 1, O_RDWR | O_CLOEXEC) : -1;
      int flags = rest[0] == 's' ? MAP_SHARED : MAP_PRIVATE | (rest[0] ? 0 : MAP_ANONYMOUS);
      a = (uintptr_t)mmap(NULL, a * PAGE, (int)b, flags, file, 0);
      if (file >= 0)
        close(file);
    } else if (!strcmp(what, "huge"))
      a = (uintptr_t)mmap(NULL, a, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    else if (!strcmp(what, "again")) /* the same place, mapped anew */
      a = (uintptr_t)mmap(start, b * PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    else if (!strcmp(what, "write"))
      store(start, rest);
    else if (!strcmp(what, "read"))
      a = (uint64_t)(unsigned char)start[b * PAGE];
    else if (!strcmp(what, "data"))
      initialised[a * PAGE + PAGE]++, a = (uintptr_t)(initialised + a * PAGE + PAGE);
    else if (!strcmp(what, "unmap"))
      a = (uint64_t)munmap(start, b * PAGE);
    else if (!strcmp(what, "open"))
      a = (uint64_t)mprotect(start, b * PAGE, PROT_READ | PROT_WRITE);
    else if (!strcmp(what, "shut"))
      a = (uint64_t)mprotect(start, b * PAGE, PROT_READ);
    else if (!strcmp(what, "drop"))
      a = (uint64_t)madvise(start, b * PAGE, MADV_DONTNEED);
    else if (!strcmp(what, "move"))
      a = (uintptr_t)mremap(start, b * PAGE, strtoul(rest, NULL, 10) * PAGE, MREMAP_MAYMOVE);
    else if (!strcmp(what, "sweep")) {
      job = (struct sweep){.start = start, .pages = b, .step = strtoul(rest, NULL, 10)};
      a = (uint64_t)pthread_create(&thread, NULL, sweep, &job);
    } else if (!strcmp(what, "join"))
      a = (uint64_t)pthread_join(thread, NULL);
    else if (!strcmp(what, "own"))
      a = own_uffd(start, b * PAGE);
    else if (!strcmp(what, "written"))
      a = own_written(start, b * PAGE);
    else if (!strcmp(what, "closeall"))
      a = 0, close_range(3, ~0u, 0);
    else if (!strcmp(what, "descriptors")) {
      for (int file = 3; file < 1024; file++)
        a += fcntl(file, F_GETFD) >= 0;
    } else if (!strcmp(what,
                       "fork")) { /* the child goes on with the lines, and answers; then the parent does */
      pid_t child = fork();
      if (child > 0) {
        int status;
        waitpid(child, &status, 0);
        a = (uint64_t)status;
      } else
        a = (uint64_t)getpid();
    } else if (!strcmp(what, "clone")) { /* the same without the C library's knowledge */
      long child = syscall(SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0);
      if (child > 0)
        waitpid((pid_t)child, NULL, 0);
      a = (uint64_t)getpid();
    } else if (!strcmp(what, "exec")) {
      execl("/proc/self/exe", "recorded", "executed", NULL);
      a = (uint64_t)errno;
    } else if (!strcmp(what, "exit"))
      exit((int)a);
    else if (!strcmp(what, "lock")) { /* killed for that system call from now on */
      struct sock_filter rules[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)a, 0, 1),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
      struct sock_fprog program = {.len = 4, .filter = rules};
      a = (uint64_t)(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) |
                     (b ? (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0,
                                       &program) /* as libseccomp does */
                        : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)));
    } else if (!strcmp(what, "leave"))
      _exit((int)a);
    else if (!strcmp(what, "abandon"))
      _Exit((int)a);
    else if (!strcmp(what, "quick"))
      quick_exit((int)a);
    answer(what, a);
  }
  return 0;
}
