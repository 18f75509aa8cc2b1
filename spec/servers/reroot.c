/*
** reroot.so: lets a server that was unpacked under a folder find itself there.
**
** Preloaded into the mail servers of the suite and into nothing else; no part of the library. Debian's Dovecot
** and Exim carry absolute paths (/usr/lib/dovecot/modules, /usr/bin/doveconf, ...). A path under /usr or /etc
** that exists under LM_REROOT is taken there, any other is left alone, so neither root rights nor a namespace
** nor an installed package is needed. A user name of the package that this machine lacks is the caller himself.
** A path under /etc, /run or /var whose folder exists under LM_OVERLAY is taken there first, to read and to write:
** what a package keeps in one place for the whole machine, each server of the suite keeps for itself.
** What would go to the system's log, which Cyrus has no other way to speak to, is appended to the file LM_SYSLOG.
** Nothing waits for the disk, and with LM_AWAKE nothing sleeps.
*/
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <fts.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <syslog.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Whether the folder of `path` exists under LM_OVERLAY; the path there is in `room` then. */
static int overlaid(const char *path, char *room) {
  const char *overlay = getenv("LM_OVERLAY");
  char *end;
  int n, yes;
  if (overlay == NULL) return 0;
  if (strncmp(path, "/run/", 5) != 0 && strncmp(path, "/etc/", 5) != 0 &&
      strncmp(path, "/var/", 5) != 0)
    return 0;
  n = snprintf(room, PATH_MAX, "%s%s", overlay, path);
  if (n < 0 || n >= PATH_MAX) return 0;
  end = strrchr(room, '/');
  *end = '\0';
  yes = NEXT(faccessat)(AT_FDCWD, room, F_OK, 0) == 0;
  *end = '/';
  return yes;
}

/* The path as seen from outside of what asroot.c takes for a changed root. */
static const char *outside(const char *path, char *room) {
  const char *prefix = getenv("LM_CHROOT"), *overlay = getenv("LM_OVERLAY");
  int n;
  if (prefix == NULL || path[0] != '/') return path;
  if (overlay != NULL && strncmp(path, overlay, strlen(overlay)) == 0) return path;
  n = snprintf(room, PATH_MAX, "%s%s", prefix, path);
  return n < 0 || n >= PATH_MAX ? path : room;
}

/* Whether the path exists under the root of the package; it is in `room` then. */
static int packaged(const char *path, char *room) {
  int n;
  if (strncmp(path, "/usr/", 5) != 0 && strncmp(path, "/etc/", 5) != 0) return 0;
  n = snprintf(room, PATH_MAX, "%s%s", getenv("LM_REROOT"), path);
  return n >= 0 && n < PATH_MAX && NEXT(faccessat)(AT_FDCWD, room, F_OK, 0) == 0;
}

/* The path in the overlay or under the root if it exists there, else the path itself. */
static const char *there(const char *path, char *room) {
  char whole[PATH_MAX];
  const char *seen;
  if (path == NULL || getenv("LM_REROOT") == NULL) return path;
  seen = outside(path, whole);
  if (overlaid(seen, room) || packaged(seen, room)) return room;
  return seen == whole ? strcpy(room, whole) : path;
}

static mode_t mode_of(int flags, va_list *ap) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(*ap, int) : 0;
}

#define OPENER(name)                                                                               \
  int name(const char *path, int flags, ...) {                                                     \
    char room[PATH_MAX];                                                                           \
    va_list ap;                                                                                    \
    mode_t mode;                                                                                   \
    va_start(ap, flags);                                                                           \
    mode = mode_of(flags, &ap);                                                                    \
    va_end(ap);                                                                                    \
    return NEXT(name)(there(path, room), flags, mode);                                             \
  }
OPENER(open)
OPENER(open64)

#define PATH_FIRST(result, name, types, names)                                                     \
  result name types {                                                                              \
    char room[PATH_MAX];                                                                           \
    path = there(path, room);                                                                      \
    return NEXT(name) names;                                                                       \
  }
PATH_FIRST(int, stat, (const char *path, struct stat *st), (path, st))
PATH_FIRST(int, lstat, (const char *path, struct stat *st), (path, st))
PATH_FIRST(int, stat64, (const char *path, struct stat64 *st), (path, st))
PATH_FIRST(int, lstat64, (const char *path, struct stat64 *st), (path, st))
PATH_FIRST(int, statfs, (const char *path, struct statfs *st), (path, st))
PATH_FIRST(int, mkdir, (const char *path, mode_t mode), (path, mode))
PATH_FIRST(int, rmdir, (const char *path), (path))
PATH_FIRST(int, chdir, (const char *path), (path))
PATH_FIRST(int, access, (const char *path, int mode), (path, mode))
PATH_FIRST(DIR *, opendir, (const char *path), (path))
PATH_FIRST(FILE *, fopen, (const char *path, const char *mode), (path, mode))
PATH_FIRST(FILE *, fopen64, (const char *path, const char *mode), (path, mode))
PATH_FIRST(void *, dlopen, (const char *path, int flags), (path, flags))
PATH_FIRST(int, execv, (const char *path, char *const argv[]), (path, argv))
PATH_FIRST(int, execve, (const char *path, char *const argv[], char *const env[]),
           (path, argv, env))
PATH_FIRST(int, execvp, (const char *path, char *const argv[]), (path, argv))

enum { MAX_WORDS = 64 };

/* The C library's own go past execv above. */
static void gather(char **argv, const char *first, va_list *ap) {
  size_t n = 0;
  argv[0] = (char *)first;
  while (argv[n] != NULL && n + 2 < MAX_WORDS) argv[++n] = va_arg(*ap, char *);
}

int execl(const char *path, const char *first, ...) {
  char *argv[MAX_WORDS] = {NULL};
  va_list ap;
  va_start(ap, first);
  gather(argv, first, &ap);
  va_end(ap);
  return execv(path, argv);
}

/*
** A program with an environment of its own is one that OpenSMTPD's shell is to find beside it; it is somebody's
** and not root's, so it does without asroot.so.
*/
int execle(const char *path, const char *first, ...) {
  char *argv[MAX_WORDS] = {NULL}, **given;
  const char *preload = getenv("LD_PRELOAD"), *last = preload ? strrchr(preload, ':') : NULL;
  va_list ap;
  va_start(ap, first);
  gather(argv, first, &ap);
  given = va_arg(ap, char **);
  va_end(ap);
  if (last != NULL) setenv("LD_PRELOAD", last + 1, 1);
  while (*given) putenv(*given++);
  return execv(path, argv);
}

PATH_FIRST(int, unlink, (const char *path), (path))
PATH_FIRST(int, chmod, (const char *path, mode_t mode), (path, mode))

int rename(const char *from, const char *to) {
  char room[PATH_MAX], other[PATH_MAX];
  return NEXT(rename)(there(from, room), there(to, other));
}

/* Of the folders it is to walk through only the first: nobody here names two. */
FTS *fts_open(char *const *paths, int options, int (*order)(const FTSENT **, const FTSENT **)) {
  char room[PATH_MAX], *moved[] = {NULL, NULL};
  moved[0] = (char *)there(paths[0], room);
  return NEXT(fts_open)(paths[0] && paths[1] ? paths : moved, options, order);
}

/* A socket's path in the overlay must fit its address; one that does not is left as it is. */
static const struct sockaddr *socket_there(const struct sockaddr *a, socklen_t *n,
                                           struct sockaddr_un *own) {
  char path[sizeof own->sun_path + 1] = "", room[PATH_MAX];
  if (a->sa_family != AF_UNIX || *n > sizeof *own) return a;
  memcpy(path, ((const struct sockaddr_un *)a)->sun_path,
         *n - offsetof(struct sockaddr_un, sun_path));
  if (!overlaid(path, room) || strlen(room) >= sizeof own->sun_path) return a;
  own->sun_family = AF_UNIX;
  strcpy(own->sun_path, room);
  *n = sizeof *own;
  return (const struct sockaddr *)own;
}

#define SOCKET(name)                                                                               \
  int name(int fd, const struct sockaddr *a, socklen_t n) {                                        \
    struct sockaddr_un own;                                                                        \
    a = socket_there(a, &n, &own);                                                                 \
    return NEXT(name)(fd, a, n);                                                                   \
  }
SOCKET(bind)
SOCKET(connect)

struct passwd *getpwnam(const char *name) {
  struct passwd *found = NEXT(getpwnam)(name);
  return found != NULL || getenv("LM_REROOT") == NULL ? found : getpwuid(geteuid());
}

struct group *getgrnam(const char *name) {
  struct group *found = NEXT(getgrnam)(name);
  return found != NULL || getenv("LM_REROOT") == NULL ? found : getgrgid(getegid());
}

/* Courier answers a wrong password after five seconds of it, whatever its configuration says. */
unsigned sleep(unsigned seconds) {
  return getenv("LM_AWAKE") != NULL ? 0 : NEXT(sleep)(seconds);
}

/* What these servers store need not outlive the machine. */
int fsync(int fd) {
  (void)fd;
  return 0;
}

int fdatasync(int fd) {
  (void)fd;
  return 0;
}

static void say(const char *format, va_list ap) {
  const char *name = getenv("LM_SYSLOG");
  char line[2048];
  int n, fd = name ? NEXT(open)(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
  if (fd < 0) return;
  n = snprintf(line, 32, "%d ", (int)getpid());
  n += vsnprintf(line + n, sizeof line - 64, format, ap);
  if (n > (int)sizeof line - 2) n = (int)sizeof line - 2;
  line[n++] = '\n';
  if (write(fd, line, (size_t)n) < 0) n = 0; /* a log that cannot be written stops nobody */
  close(fd);
}

/* LM_SYSLOG_ALL: also what only tells of the day's work. */
static int is_wanted(int priority) {
  return LOG_PRI(priority) < LOG_INFO || getenv("LM_SYSLOG_ALL") != NULL;
}

void syslog(int priority, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  if (is_wanted(priority)) say(format, ap);
  va_end(ap);
}

void __syslog_chk(int priority, int flag, const char *format, ...) {
  va_list ap;
  (void)flag;
  va_start(ap, format);
  if (is_wanted(priority)) say(format, ap);
  va_end(ap);
}
