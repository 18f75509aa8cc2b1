/*
** params.h: the values of Content-Type, Content-Disposition and their kin: a main value and parameters
** (RFC 2045 §5.1, RFC 2183 §2; continuations, charsets and languages: RFC 2231).
**
** Reads what mailers write besides: encoded words in or out of quotes (RFC 2047 §5 forbids both), raw
** 8-bit, spaces and semicolons without quotes, quotes that are never closed, backslashes of Windows
** paths, semicolons left out, pieces out of order, repeated or missing, plain forms beside extended
** ones. Names are in lower case, values UTF-8 on one line. Linear time, save for one sort by name.
*/
#ifndef LM_MIME_PARAMS_H
#define LM_MIME_PARAMS_H

#include "base/arena.h"

struct lm_param {
  struct lm_str name;
  struct lm_str value;
  struct lm_param *next;
};

struct lm_params {
  struct lm_str main;     /* as it stands: "text/plain", "attachment" */
  struct lm_param *first; /* each name once */
  size_t count;
  size_t defects;
  const char *why; /* the first of them, static words */
  size_t offset;   /* ... and where in the text */
};

/* Reads a raw value, folds and all; `max` parameters at most. False only when memory is short. */
bool lm_params_read(struct lm_arena *a, struct lm_str raw, size_t max, struct lm_params *out);

/* The same of parameters that somebody has cut already: `n` names and values by turns, without quotes. */
bool lm_params_join(struct lm_arena *a, const struct lm_str *words, size_t n,
                    struct lm_params *out);

/* The value of a parameter, by its name in lower case; p is NULL where it is missing. */
struct lm_str lm_params_get(const struct lm_params *params, struct lm_str name);

struct lm_media {
  struct lm_str type;    /* in the case in which it stands */
  struct lm_str subtype; /* n is 0 where it is missing */
};

/* The media type at the front of a Content-Type value. False where it is none: then it counts as
** text/plain (RFC 2045 §5.2), and is given as such. A missing subtype is filled in. */
bool lm_media_read(struct lm_str raw, struct lm_media *out);

/* True where the media type is type/subtype; NULL as subtype stands for any. */
bool lm_media_is(const struct lm_media *m, const char *type, const char *subtype);

#endif
