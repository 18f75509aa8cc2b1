/*
** whole.c: whole files.
*/
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1 /* O_NOFOLLOW, O_CLOEXEC */
#endif

#include "os/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 65536 };

static bool map(struct lm_whole *f, int fd, size_t size) {
  void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (p == MAP_FAILED) return false;
  f->text = (struct lm_str){p, size};
  f->mapped = true;
  return true;
}

/* Reads to the end: the size is a hint only, for pipes have none. */
static bool read_all(struct lm_whole *f, int fd, size_t hint) {
  size_t room = hint + 1;
  size_t n = 0;
  char *p = malloc(room);
  while (p) {
    ssize_t got = read(fd, p + n, room - n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    n += (size_t)got;
    if (got == 0) {
      f->text = (struct lm_str){p, n};
      return true;
    }
    if (n == room) {
      char *more = room > SIZE_MAX / 4 ? NULL : realloc(p, room * 2 + PIECE);
      if (more == NULL) break;
      room = room * 2 + PIECE;
      p = more;
    }
  }
  free(p);
  return false;
}

static bool take(struct lm_whole *f, int fd) {
  struct stat st;
  size_t size;
  if (fstat(fd, &st) != 0) return false;
  if (S_ISDIR(st.st_mode)) {
    errno = EISDIR;
    return false;
  }
  size = st.st_size > 0 ? (size_t)st.st_size : 0;
  if (S_ISREG(st.st_mode) && size >= LM_WHOLE_MAP && map(f, fd, size)) return true;
  errno = ENOMEM;
  return read_all(f, fd, size);
}

bool lm_whole_read(struct lm_whole *f, const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  bool ok;
  *f = (struct lm_whole){{NULL, 0}, false, 0};
  ok = fd >= 0 && take(f, fd);
  if (!ok) f->error = errno;
  if (fd >= 0) close(fd);
  return ok;
}

void lm_whole_free(struct lm_whole *f) {
  void *p = (void *)(uintptr_t)f->text.p;
  if (f->mapped)
    munmap(p, f->text.n);
  else
    free(p);
  *f = (struct lm_whole){{NULL, 0}, false, 0};
}

bool lm_whole_is_folder(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool lm_whole_exists_error(int error) {
  return error == EEXIST;
}

static int write_all(int fd, struct lm_str text) {
  while (text.n) {
    ssize_t n = write(fd, text.p, text.n);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text = (struct lm_str){text.p + n, text.n - (size_t)n};
  }
  return 0;
}

static int write_pieces(int fd, struct lm_whole_source source) {
  struct lm_str piece;
  int error = 0;
  while (error == 0) {
    if (!source.next(source.from, &piece)) return ENOMEM;
    if (piece.n == 0) break;
    error = write_all(fd, piece);
  }
  return error;
}

/* Writes all and closes; what was not written whole is removed. 0 or errno. */
static int fill(int fd, const char *path, struct lm_whole_source source, bool to_disk) {
  int error = write_pieces(fd, source);
  if (error == 0 && to_disk && fsync(fd) != 0) error = errno;
  if (close(fd) != 0 && error == 0) error = errno;
  if (error) unlink(path);
  return error;
}

static int write_new(const char *path, struct lm_whole_source source) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  return fd < 0 ? errno : fill(fd, path, source, false);
}

/* A name for mkstemp in the folder of `path`, or NULL. */
static char *beside(const char *path) {
  static const char name[] = ".lua-mail-XXXXXX";
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) + 1 : 0;
  char *made = malloc(n + sizeof name);
  if (made == NULL) return NULL;
  memcpy(made, path, n);
  memcpy(made + n, name, sizeof name);
  return made;
}

/* A file with the rights of the one that it will replace, and its owner where that can be had. */
static int open_beside(char *name, const struct stat *old) {
  int fd = mkstemp(name);
  if (fd < 0) return -1;
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
      (fchown(fd, old->st_uid, old->st_gid) == 0 || errno == EPERM) &&
      fchmod(fd, old->st_mode & 0777) == 0) {
    return fd;
  }
  close(fd);
  unlink(name);
  return -1;
}

/* The old file stands until the new one is on the disk: whatever fails, one of them is whole. */
static int replace(const char *path, struct lm_whole_source source) {
  struct stat old;
  char *name;
  int fd, error;
  if (lstat(path, &old) != 0) return errno == ENOENT ? write_new(path, source) : errno;
  if (!S_ISREG(old.st_mode)) return EINVAL;
  if ((name = beside(path)) == NULL) return ENOMEM;
  fd = open_beside(name, &old);
  error = fd < 0 ? errno : fill(fd, name, source, true);
  if (error == 0 && rename(name, path) != 0) {
    error = errno;
    unlink(name);
  }
  free(name);
  return error;
}

int lm_whole_write(const char *path, struct lm_whole_source source, enum lm_whole_mode mode) {
  return mode == LM_WHOLE_NEW ? write_new(path, source) : replace(path, source);
}
