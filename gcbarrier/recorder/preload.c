/* What `gcbarrier record` has the dynamic linker load into a program. Each process image tells the recorder
 * of itself once, before its own constructors, and hands over a userfaultfd; a forked child does the same.
 * From then on all is done from outside, with that descriptor: no descriptor, thread or allocation of ours
 * stays here.
 *
 * System calls are made by number: after a fork only async-signal-safe calls are allowed, and the C library's
 * are points where a thread can be cancelled. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Numbers of the kernel's that older headers lack. */
#define USER_MODE_ONLY 1
#define FEATURES                                                                                             \
  ((1ull << 12) | (1ull << 13) | (1ull << 15)) /* WP_HUGETLBFS_SHMEM, WP_UNPOPULATED, WP_ASYNC */

/* What gcbarrier/recorder/door.py reads. */
enum { BEGINS = 1, FORKED = 2, ENDS = 3, GIVES_WAY = 4 };
struct message {
  uint32_t kind;
  int32_t error; /* why there is no userfaultfd */
  uint64_t start, bytes;
};

/* Written before watching begins, and never again: no page of ours is dirtied. A name in the abstract
 * namespace, which needs no file and goes with the recorder. */
static struct sockaddr_un door = {.sun_family = AF_UNIX};
static socklen_t door_bytes;
static bool watched;
static long filtered; /* whether its system calls were filtered from the beginning, as in a container */

static int connected(void) {
  long line = syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (line < 0)
    return -1;
  long done;
  do
    done = syscall(SYS_connect, line, &door, door_bytes);
  while (done < 0 && errno == EINTR);
  if (done < 0) {
    syscall(SYS_close, line);
    return -1;
  }
  return (int)line;
}

/* How many seccomp filters this process has; -1: that can't be known. The dynamic linker has opened and read
 * files just so, which therefore no filter kills for. */
static long filters(void) {
  static const char label[] = "Seccomp_filters:";
  char text[4096];
  long file = syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return -1;
  long bytes = syscall(SYS_read, file, text, sizeof text - 1);
  syscall(SYS_close, file);
  text[bytes > 0 ? bytes : 0] = 0;
  const char *found = strstr(text, label);
  return found == NULL ? -1 : strtol(found + sizeof label - 1, NULL, 10);
}

/* One that has locked itself in since it began may be killed for whatever we do. */
static bool locked_in(void) {
  return syscall(SYS_prctl, PR_GET_SECCOMP) != filtered;
}

/* Says something and waits until the recorder has acted on it; false if it is gone, or doesn't want to. */
static bool say(struct message message, int handed_over) {
  if (locked_in())
    return false;
  int line = connected();
  if (line < 0)
    return false;
  struct iovec text = {.iov_base = &message, .iov_len = sizeof message};
  union {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {.bytes = {0}};
  struct msghdr sent = {.msg_iov = &text, .msg_iovlen = 1};
  if (handed_over >= 0) {
    sent.msg_control = &control;
    sent.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&sent);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &handed_over, sizeof handed_over);
  }
  long done;
  do
    done = syscall(SYS_sendmsg, line, &sent, MSG_NOSIGNAL);
  while (done < 0 && errno == EINTR);
  char answer = 0;
  if (done > 0) {
    do
      done = syscall(SYS_read, line, &answer, 1);
    while (done < 0 && errno == EINTR);
  }
  syscall(SYS_close, line);
  return done == 1 && answer == 'y';
}

static bool introduce(uint32_t kind) {
  struct message message = {.kind = kind};
  if (locked_in())
    return false;
  long tracking = syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);
  struct uffdio_api handshake = {.api = UFFD_API, .features = FEATURES};
  if (tracking < 0 || syscall(SYS_ioctl, tracking, UFFDIO_API, &handshake) < 0)
    message.error = errno;
  bool accepted = say(message, message.error ? -1 : (int)tracking);
  if (tracking >= 0)
    syscall(SYS_close, tracking);
  return accepted;
}

static void forked(void) {
  int before = errno;
  /* What the parent had registered is not registered here, and none of its pages are protected. */
  if (watched && !introduce(FORKED))
    watched = false;
  errno = before;
}

/* The last moment at which it can be seen what was written. Whoever ends by a signal does not come here. */
__attribute__((destructor)) static void end(void) {
  if (watched)
    say((struct message){.kind = ENDS}, -1);
}

__attribute__((constructor)) static void begin(void) {
  const char *name = getenv("GCBARRIER_RECORD");
  if (name == NULL || strlen(name) >= sizeof door.sun_path - 1)
    return;
  /* A filter that the recorder does not have, as a container's, may kill for a userfaultfd. */
  const char *harmless = getenv("GCBARRIER_RECORD_FILTERS");
  long inherited = filters();
  if (harmless != NULL && inherited >= 0 && inherited != strtol(harmless, NULL, 10))
    return;
  memcpy(door.sun_path + 1, name, strlen(name));
  door_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
  /* One store to a huge page makes all of it read as written. Descendants inherit this. */
  if (getenv("GCBARRIER_RECORD_HUGE_PAGES") == NULL)
    syscall(SYS_prctl, PR_SET_THP_DISABLE, 1, 0, 0, 0);
  filtered = syscall(SYS_prctl, PR_GET_SECCOMP);
  pthread_atfork(NULL, NULL, forked);
  at_quick_exit(end);
  /* True while it is asked: once the answer is yes nothing may be written here. */
  watched = true;
  if (!introduce(BEGINS))
    watched = false;
}

/* Takes the place of the C library's, for those that end without destructors: shells, forked workers. */
__attribute__((visibility("default"), noreturn)) void _exit(int status) {
  end();
  for (;;)
    syscall(SYS_exit_group, status);
}

/* Likewise: the C library's does not call the above. */
__attribute__((visibility("default"), noreturn)) void _Exit(int status) {
  _exit(status);
}

/* Likewise, and does the same. A range is one userfaultfd's alone: what the program wants to register with
 * one of its own, ours gives up. */
__attribute__((visibility("default"))) int ioctl(int file, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  if (request == UFFDIO_REGISTER && watched && argument != NULL) {
    const struct uffdio_register *wanted = argument;
    say((struct message){.kind = GIVES_WAY, .start = wanted->range.start, .bytes = wanted->range.len}, -1);
  }
  return (int)syscall(SYS_ioctl, file, request, argument);
}

/* Likewise. From the moment that the program locks itself in nothing of ours is done here, as that may be
 * what it is killed for. It may do that by a raw seccomp(2), as libseccomp does, but comes here before, as
 * only root need not. */
__attribute__((visibility("default"))) int prctl(int option, ...) {
  va_list arguments;
  va_start(arguments, option);
  unsigned long rest[4];
  for (int i = 0; i < 4; i++)
    rest[i] = va_arg(arguments, unsigned long);
  va_end(arguments);
  int done = (int)syscall(SYS_prctl, option, rest[0], rest[1], rest[2], rest[3]);
  if ((option == PR_SET_SECCOMP || option == PR_SET_NO_NEW_PRIVS) && done == 0)
    watched = false;
  return done;
}
