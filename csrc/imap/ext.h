/*
** ext.h: what the grammar knows about IMAP, in records: the base protocol and one per extension.
**
** A record lists FETCH items, untagged responses and response codes with the functions that read
** them. An extension is one file ext_*.c with a record, and its line in ext.c. What no record
** knows is read as a value tree, so a record is only needed where the value has a shape of its own.
*/
#ifndef LM_IMAP_EXT_H
#define LM_IMAP_EXT_H

#include "imap/fetch.h"

/* Kinds of untagged data, by which the session knows whose answer it is. */
enum lm_imap_group {
  LM_IMAP_G_FETCH = 1 << 0,
  LM_IMAP_G_LIST = 1 << 1,
  LM_IMAP_G_STATUS = 1 << 2,
  LM_IMAP_G_SEARCH = 1 << 3,
  LM_IMAP_G_MAILBOX = 1 << 4, /* EXISTS RECENT FLAGS */
  LM_IMAP_G_EXPUNGE = 1 << 5, /* EXPUNGE VANISHED */
  LM_IMAP_G_CAPABILITY = 1 << 6,
  LM_IMAP_G_ENABLED = 1 << 7,
  LM_IMAP_G_CODE = 1 << 8, /* untagged OK, NO, BAD with a code */
  LM_IMAP_G_OTHER = 1 << 9,
  LM_IMAP_G_ABOUT = 1 << 12 /* names its mailbox: ACL LISTRIGHTS MYRIGHTS METADATA */
};

/* How to read; handed to every function of a record. */
struct lm_imap_how {
  bool utf8; /* mailbox names are UTF-8 as they stand (UTF8=ACCEPT, IMAP4rev2) */
};

/* A FETCH item; the cursor stands behind its name, at the space or "[". */
struct lm_imap_item {
  struct lm_str name;
  bool (*parse)(struct lm_cursor *c, struct lm_imap_fetch *f);
};

/* An untagged response; the cursor stands behind its name, at a space or the end. NULL: no value. */
struct lm_imap_data {
  struct lm_str name;
  enum lm_imap_group group;
  bool (*parse)(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_imap_value *out);
};

/* A response code; the cursor stands behind the space, at its arguments. */
struct lm_imap_code {
  struct lm_str name;
  bool (*parse)(struct lm_cursor *c, struct lm_imap_value *out);
};

struct lm_imap_ext {
  const char *capability;           /* NULL: the base protocol */
  const struct lm_imap_item *items; /* each ends in an entry without a name, or is NULL */
  const struct lm_imap_data *data;
  const struct lm_imap_code *codes;
};

/* Looks a name up, in any case; NULL where no record has it. */
const struct lm_imap_item *lm_imap_find_item(struct lm_str name);

/* The item of the base protocol with which `text` (not empty) begins, in upper case and whole; NULL
** says nothing. */
const struct lm_imap_item *lm_imap_match_item(struct lm_str text);

const struct lm_imap_data *lm_imap_find_data(struct lm_str name);
const struct lm_imap_code *lm_imap_find_code(struct lm_str name);

/* The records, each in its file; ext.c has the list. */
extern const struct lm_imap_ext lm_imap_ext_base;
extern const struct lm_imap_ext lm_imap_ext_acl;
extern const struct lm_imap_ext lm_imap_ext_codes;
extern const struct lm_imap_ext lm_imap_ext_condstore;
extern const struct lm_imap_ext lm_imap_ext_esearch;
extern const struct lm_imap_ext lm_imap_ext_metadata;
extern const struct lm_imap_ext lm_imap_ext_namespace;
extern const struct lm_imap_ext lm_imap_ext_objectid;
extern const struct lm_imap_ext lm_imap_ext_quota;
extern const struct lm_imap_ext lm_imap_ext_thread;
extern const struct lm_imap_ext lm_imap_ext_uidplus;
extern const struct lm_imap_ext lm_imap_ext_binary;
extern const struct lm_imap_ext lm_imap_ext_gmail;
extern const struct lm_imap_ext lm_imap_ext_inprogress;
extern const struct lm_imap_ext lm_imap_ext_messagelimit;
extern const struct lm_imap_ext lm_imap_ext_catenate;

/* --- readings that several records share -------------------------------------------------------- */

/* mailbox, as UTF-8; a name that is not quoted although it should be is read up to `stop` or the
** line end. */
bool lm_imap_mailbox(struct lm_cursor *c, const struct lm_imap_how *how, char stop,
                     struct lm_str *out);

/* Makes `name` UTF-8, in the arena; it stays as it is where it is no modified UTF-7. False when
** memory is short. */
bool lm_imap_from_utf7(struct lm_cursor *c, struct lm_str *name);
/* The same, with more words behind it on the line: what is not quoted ends at a space. */
bool lm_imap_word_mailbox(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_str *out);

/* A name that was read as a string, as UTF-8; as it came where it is no modified UTF-7. */
bool lm_imap_to_utf8(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_str *name);

/* number / 63-bit number / sequence-set into a value. */
bool lm_imap_number_value(struct lm_cursor *c, struct lm_imap_value *out);
bool lm_imap_set_value(struct lm_cursor *c, struct lm_imap_value *out);

/* Makes an empty list of it, for fields. */
void lm_imap_make_list(struct lm_imap_value *out);

#endif
