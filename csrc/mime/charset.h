/*
** charset.h: text in any charset to UTF-8 (RFC 2978 names, as mailers really use them).
**
** The charsets of nearly all mail (UTF-8, ASCII, those of one octet a character) are converted here; the others
** through the C library's iconv. A name that lies is read as what the bytes are: "iso-8859-1" is
** windows-1252, "gb2312" is gb18030 (WHATWG Encoding §4.2 gives the same answers).
** The result is always valid UTF-8: what cannot be read becomes U+FFFD.
*/
#ifndef LM_MIME_CHARSET_H
#define LM_MIME_CHARSET_H

#include "base/arena.h"
#include "base/buf.h"
#include "mime/charset_pairs.h"
#include "mime/utf8.h"

/* `bytes` in `charset` as UTF-8. Where nothing is to be changed the result is `bytes` itself, else
** it lies in the arena. An unknown charset is guessed. False only when memory is short. */
bool lm_charset_to_utf8(struct lm_arena *a, struct lm_str charset, struct lm_str bytes,
                        struct lm_str *utf8_out);

/* Converters of the C library that are kept open (opening one costs more than most texts), and tables of what
** they say. All zero at first. */
enum { LM_CONVERTERS = 8, LM_CONVERTER_NAME = 64 };

struct lm_converters {
  void *cd[LM_CONVERTERS]; /* iconv_t */
  char name[LM_CONVERTERS][LM_CONVERTER_NAME];
  unsigned next;
  bool
      lasting; /* set by an owner that keeps it for many texts: then tables are worth their making */
  struct lm_pairs *pairs[LM_PAIRS];
};

void lm_converters_free(struct lm_converters *kept);

/* lm_charset_to_utf8 with converters that are kept; NULL: none is. */
bool lm_charset_convert(struct lm_arena *a, struct lm_converters *kept, struct lm_str charset,
                        struct lm_str bytes, struct lm_str *utf8_out);

/* True where a charset of that name is there, under any of its names; what is said to be unknown or ASCII
** is, too. */
bool lm_charset_known(struct lm_str charset);

/* The same for text of which nobody says the charset: valid UTF-8 is kept, anything else is read
** as windows-1252. */
bool lm_charset_guess(struct lm_arena *a, struct lm_str bytes, struct lm_str *utf8_out);

enum lm_charset_fit {
  LM_CHARSET_FITS,
  LM_CHARSET_UNFIT, /* the charset is not known, or the text does not fit into it */
  LM_CHARSET_MEMORY
};

/* UTF-8 as `charset`, exactly: for servers that take nothing else. Where it does not fit *out is as it was. */
enum lm_charset_fit lm_charset_from_utf8(struct lm_str utf8, struct lm_str charset,
                                         struct lm_buf *out);

#endif
