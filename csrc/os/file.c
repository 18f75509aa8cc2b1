/*
** file.c: files and folders by the calls of POSIX, and renameat2(2) where Linux has it.
**
** The order in which a store writes is the store's; here each call does one thing.
*/
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1 /* renameat2, F_OFD_SETLK */
#endif

#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static bool is_what_it_should_be(int fd, enum lm_file_mode mode) {
  struct stat s;
  if (fstat(fd, &s) != 0) return false;
  if (mode == LM_FILE_FOLDER ? S_ISDIR(s.st_mode) : S_ISREG(s.st_mode)) return true;
  errno = EINVAL;
  return false;
}

int lm_file_open(const char *path, enum lm_file_mode mode) {
  static const int flags[] = {O_RDONLY | O_NOFOLLOW | O_NONBLOCK, O_WRONLY | O_CREAT | O_EXCL,
                              O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, O_RDONLY | O_NONBLOCK};
  int fd, code;
  do {
    fd = open(path, flags[mode] | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0 || is_what_it_should_be(fd, mode)) return fd;
  code = errno;
  close(fd);
  errno = code;
  return -1;
}

long lm_file_read(int fd, char *p, size_t n, uint64_t offset) {
  ssize_t got;
  do {
    got = pread(fd, p, n, (off_t)offset);
  } while (got < 0 && errno == EINTR);
  return (long)got;
}

bool lm_file_write(int fd, const char *p, size_t n, uint64_t offset) {
  while (n > 0) {
    ssize_t put = pwrite(fd, p, n, (off_t)offset);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    p += put;
    n -= (size_t)put;
    offset += (uint64_t)put;
  }
  return true;
}

bool lm_file_sync(int fd) {
  int result;
  do {
    result = fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

bool lm_file_truncate(int fd, uint64_t size) {
  int result;
  do {
    result = ftruncate(fd, (off_t)size);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

bool lm_file_close(int fd) {
  return close(fd) == 0 || errno == EINTR;
}

enum lm_file_lock lm_file_lock(int fd) {
#if defined(F_OFD_SETLK)
  const int command = F_OFD_SETLK;
#else
  const int command = F_SETLK;
#endif
  struct flock whole;
  int result;
  memset(&whole, 0, sizeof whole);
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  do {
    result = fcntl(fd, command, &whole);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return LM_FILE_LOCKED;
  return errno == EAGAIN || errno == EACCES ? LM_FILE_BUSY : LM_FILE_UNLOCKABLE;
}

static bool take_facts(const struct stat *s, struct lm_file_facts *out) {
  out->type = S_ISREG(s->st_mode)   ? 'f'
              : S_ISDIR(s->st_mode) ? 'd'
              : S_ISLNK(s->st_mode) ? 'l'
                                    : 'o';
  out->size = (uint64_t)s->st_size;
  out->inode = (uint64_t)s->st_ino;
  out->modified = (int64_t)s->st_mtime;
  out->accessed = (int64_t)s->st_atime;
  return true;
}

bool lm_file_facts(const char *path, struct lm_file_facts *out) {
  struct stat s;
  return lstat(path, &s) == 0 && take_facts(&s, out);
}

bool lm_file_facts_of(int fd, struct lm_file_facts *out) {
  struct stat s;
  return fstat(fd, &s) == 0 && take_facts(&s, out);
}

/* link(2) refuses a name that is taken; then the old name goes. */
static bool move_by_link(const char *from, const char *to) {
  if (link(from, to) != 0) return false;
  return unlink(from) == 0;
}

/* Neither call is there (FAT, some network file systems): only a look before the rename is left. */
static bool move_after_look(const char *from, const char *to) {
  struct stat s;
  if (lstat(to, &s) == 0) {
    errno = EEXIST;
    return false;
  }
  return errno == ENOENT && rename(from, to) == 0;
}

bool lm_file_move(const char *from, const char *to) {
#if defined(RENAME_NOREPLACE)
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
#endif
  if (move_by_link(from, to)) return true;
  if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK) return false;
  return move_after_look(from, to);
}

bool lm_file_replace(const char *from, const char *to) {
  return rename(from, to) == 0;
}

bool lm_file_link(const char *from, const char *to) {
  return link(from, to) == 0;
}

bool lm_file_remove(const char *path) {
  return unlink(path) == 0;
}

double lm_file_time(void) {
  struct timeval now;
  gettimeofday(&now, NULL);
  return (double)now.tv_sec + (double)now.tv_usec / 1e6;
}

/* --- folders --------------------------------------------------------------------------------- */

struct lm_folder {
  DIR *dir;
};

struct lm_folder *lm_folder_open(const char *path) {
  struct lm_folder *d = malloc(sizeof *d);
  int code;
  if (d == NULL) {
    errno = ENOMEM;
    return NULL;
  }
  if ((d->dir = opendir(path)) != NULL) return d;
  code = errno;
  free(d);
  errno = code;
  return NULL;
}

bool lm_folder_make(const char *path) {
  return mkdir(path, 0700) == 0;
}

bool lm_folder_remove(const char *path) {
  return rmdir(path) == 0;
}

const char *lm_folder_next(struct lm_folder *d, bool *failed_out) {
  const struct dirent *e;
  do {
    errno = 0;
    e = readdir(d->dir);
  } while (e && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
  *failed_out = e == NULL && errno != 0;
  return e ? e->d_name : NULL;
}

void lm_folder_close(struct lm_folder *d) {
  if (d == NULL) return;
  closedir(d->dir);
  free(d);
}
