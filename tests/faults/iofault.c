/* Kills the process, tears a write or fails at the n-th call that changes a file below a path.

   cc -shared -fPIC -O1 -o iofault.so iofault.c -ldl, then LD_PRELOAD=iofault.so. Nothing happens
   until iofault_arm is called (from Python through ctypes). Kinds:

   kill    the process dies before call n
   torn    the process dies after half of the bytes of call n
   enospc  call n and all later ones fail with ENOSPC
   eio     call n and all later ones fail with EIO

   Only calls that go through libc are seen: Python, SQLite and Rust's std do, C++ streams that are
   linked statically and raw system calls do not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char path[4096], kind[16];
static long at = 0, calls = 0;
static volatile int armed = 0;

/* n <= 0 only counts. */
void iofault_arm(const char *below, const char *what, long n) {
    snprintf(path, sizeof path, "%s", below);
    snprintf(kind, sizeof kind, "%s", what);
    at = n;
    calls = 0;
    armed = 1;
}
void iofault_disarm(void) { armed = 0; }
long iofault_calls(void) { return __atomic_load_n(&calls, __ATOMIC_SEQ_CST); }

static int in_path(const char *name) { return name && strstr(name, path) != NULL; }

static int in_path_fd(int fd) {
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (length <= 0) return 0;
    name[length] = 0;
    return in_path(name);
}

/* A name below a folder's descriptor; an absolute name stands for itself. */
static int in_path_at(int fd, const char *name) {
    return in_path(name) || (name && name[0] != '/' && fd != AT_FDCWD && in_path_fd(fd));
}

static int fails(void) { return !strcmp(kind, "enospc") || !strcmp(kind, "eio"); }

static int hit(void) {
    long number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    return at > 0 && (number == at || (number > at && fails()));
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAULT(matches, half) \
    if (armed && (matches) && hit()) { \
        if (!fails()) { \
            if (!strcmp(kind, "torn")) { half; } \
            die(); \
        } \
        errno = !strcmp(kind, "eio") ? EIO : ENOSPC; \
        return -1; \
    }
#define NOTHING (void)0

ssize_t write(int fd, const void *data, size_t count) {
    REAL(write);
    FAULT(in_path_fd(fd), (void)!real(fd, data, count / 2));
    return real(fd, data, count);
}
ssize_t pwrite(int fd, const void *data, size_t count, off_t offset) {
    REAL(pwrite);
    FAULT(in_path_fd(fd), (void)!real(fd, data, count / 2, offset));
    return real(fd, data, count, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset) {
    REAL(pwrite64);
    FAULT(in_path_fd(fd), (void)!real(fd, data, count / 2, offset));
    return real(fd, data, count, offset);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    FAULT(in_path_fd(fd), (void)!real(fd, parts, count / 2));
    return real(fd, parts, count);
}
int fsync(int fd) {
    REAL(fsync);
    FAULT(in_path_fd(fd), NOTHING);
    return real(fd);
}
int fdatasync(int fd) {
    REAL(fdatasync);
    FAULT(in_path_fd(fd), NOTHING);
    return real(fd);
}
int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    FAULT(in_path_fd(fd), NOTHING);
    return real(fd, length);
}
int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    FAULT(in_path_fd(fd), NOTHING);
    return real(fd, length);
}
int rename(const char *from, const char *to) {
    REAL(rename);
    FAULT(in_path(to), NOTHING);
    return real(from, to);
}
int unlink(const char *name) {
    REAL(unlink);
    FAULT(in_path(name), NOTHING);
    return real(name);
}
int unlinkat(int fd, const char *name, int flags) {
    REAL(unlinkat);
    FAULT(in_path_at(fd, name), NOTHING);
    return real(fd, name, flags);
}
int mkdir(const char *name, mode_t mode) {
    REAL(mkdir);
    FAULT(in_path(name) && access(name, F_OK) != 0, NOTHING);
    return real(name, mode);
}

/* Only files that come into being: opening one that is there changes nothing. */
#define OPENED(name, matches, ...) \
    mode_t mode = 0; \
    if (flags & O_CREAT) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    } \
    REAL(name); \
    FAULT((flags & O_CREAT) && (matches), NOTHING); \
    return real(__VA_ARGS__, flags, mode)

int open(const char *name, int flags, ...) {
    OPENED(open, in_path(name) && access(name, F_OK) != 0, name);
}
int open64(const char *name, int flags, ...) {
    OPENED(open64, in_path(name) && access(name, F_OK) != 0, name);
}
int openat(int fd, const char *name, int flags, ...) {
    OPENED(openat, in_path_at(fd, name) && faccessat(fd, name, F_OK, 0) != 0, fd, name);
}
int openat64(int fd, const char *name, int flags, ...) {
    OPENED(openat64, in_path_at(fd, name) && faccessat(fd, name, F_OK, 0) != 0, fd, name);
}
