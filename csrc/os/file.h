/*
** file.h: files and folders as a mail store needs them: what C's stdio has no word for.
**
** Every call blocks as long as the disk does. All take paths as they stand: whoever has a name from
** outside checks it first (lua/mail/maildir.lua). A call interrupted by a signal goes on. A failure
** is false (or -1) with errno.
** The invariant: lm_file_move never replaces what is there, on no file system.
*/
#ifndef LM_OS_FILE_H
#define LM_OS_FILE_H

#include "base/lm.h"

enum lm_file_mode {
  LM_FILE_READ,   /* a plain file; never follows a link in the last part of the path, nor waits */
  LM_FILE_CREATE, /* a new file to write, mode 0600; EEXIST where the name is taken */
  LM_FILE_UPDATE, /* the same to read and write; made, mode 0600, where it is missing */
  LM_FILE_FOLDER  /* a folder, to be flushed */
};

/* A descriptor, close-on-exec, or -1. What is no plain file (no folder) is EINVAL. */
int lm_file_open(const char *path, enum lm_file_mode mode);

/* At most `n` bytes from `offset`; their count, 0 at the end, or -1. */
long lm_file_read(int fd, char *p, size_t n, uint64_t offset);

/* All `n` bytes at `offset`. False: as many of them as the disk took may be there. */
bool lm_file_write(int fd, const char *p, size_t n, uint64_t offset);

/* On the disk once this returns true: content and length; of a folder, its names. */
bool lm_file_sync(int fd);

bool lm_file_truncate(int fd, uint64_t size);

/* Whatever it answers, the descriptor is gone: false says that the disk refused what was written. */
bool lm_file_close(int fd);

enum lm_file_lock { LM_FILE_LOCKED, LM_FILE_BUSY, LM_FILE_UNLOCKABLE };

/* Locks the whole file for writing, at once or not at all (fcntl(2); where the system has them, as a
** lock of this open file, which ends with it alone and holds inside the process too). */
enum lm_file_lock lm_file_lock(int fd);

struct lm_file_facts {
  char type; /* 'f' file, 'd' folder, 'l' link, 'o' other */
  uint64_t size;
  uint64_t inode;
  int64_t modified; /* seconds since 1970 */
  int64_t accessed;
};

/* Of what the path names itself: a link is not followed. */
bool lm_file_facts(const char *path, struct lm_file_facts *out);
bool lm_file_facts_of(int fd, struct lm_file_facts *out);

/* Renames a file; EEXIST where `to` is there. Where the file system can do that in one step only for
** links, a crash between the two leaves both names. */
bool lm_file_move(const char *from, const char *to);

/* The same, but what is at `to` goes. */
bool lm_file_replace(const char *from, const char *to);

/* A second name for a file; EEXIST where it is taken. */
bool lm_file_link(const char *from, const char *to);

bool lm_file_remove(const char *path);

/* Seconds since 1970, to the microsecond. */
double lm_file_time(void);

/* --- the names in a folder, one after another: memory does not grow with their number ---------- */

struct lm_folder;

struct lm_folder *lm_folder_open(const char *path);

/* For its owner alone: mode 0700. */
bool lm_folder_make(const char *path);

/* An empty one only. */
bool lm_folder_remove(const char *path);

/* The next name ("." and ".." are passed over), valid until the next call; NULL at the end with
** *failed_out false, or where reading failed, errno. */
const char *lm_folder_next(struct lm_folder *d, bool *failed_out);

/* NULL is fine. */
void lm_folder_close(struct lm_folder *d);

#endif
