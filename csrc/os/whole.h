/*
** whole.h: whole files: read or mapped into memory, and written.
*/
#ifndef LM_OS_WHOLE_H
#define LM_OS_WHOLE_H

#include "base/lm.h"

enum { LM_WHOLE_MAP = 1048576 }; /* octets: smaller files are read, which is faster */

struct lm_whole {
  struct lm_str text;
  bool mapped;
  int error; /* errno, where a call failed */
};

/* The content of the file at `path`. A large regular file is mapped: it must not be cut short while it
** is held. False with `error` set. */
bool lm_whole_read(struct lm_whole *f, const char *path);

/* Gives the memory back; a cleared struct is fine. */
void lm_whole_free(struct lm_whole *f);

bool lm_whole_is_folder(const char *path);

enum lm_whole_mode {
  LM_WHOLE_NEW, /* a file or link of that name is an error: EEXIST */
  LM_WHOLE_REPLACE /* a file of that name gives way once the new one is on the disk; a link, a pipe or a
                   ** device does not (EINVAL) */
};

/* True for the error that LM_WHOLE_NEW gives where something of that name is there. */
bool lm_whole_exists_error(int error);

/* What is to be written, piece by piece: none at the end. `next` is false where memory is short. */
struct lm_whole_source {
  bool (*next)(void *from, struct lm_str *piece_out);
  void *from;
};

/* Writes to a file all that `source` gives, of which nothing is asked before the file is open; what could not
** be written whole is removed, and what it was to replace stands. 0 or errno. */
int lm_whole_write(const char *path, struct lm_whole_source source, enum lm_whole_mode mode);

#endif
