/*
** lex.h: the tokens of structured header fields (RFC 5322 §3.2, §4; UTF-8: RFC 6532 §3.2).
**
** Any text can be cut into tokens: what no rule fits is a token of one byte. A comment, quoted
** string or domain literal that is never closed is no such thing: its first byte stands alone and
** what follows is read as usual. Each byte is looked at a fixed number of times.
** A lexer is a plain value: a copy of one reads the same text again, and sees the same tokens.
*/
#ifndef LM_MIME_LEX_H
#define LM_MIME_LEX_H

#include "base/lm.h"

enum lm_lex_kind {
  LM_LEX_END,
  LM_LEX_SPACE,   /* FWS */
  LM_LEX_COMMENT, /* with its parentheses, nested ones inside */
  LM_LEX_ATOM,    /* 1*atext, UTF-8 counts as such */
  LM_LEX_QUOTED,  /* with its quotes */
  LM_LEX_LITERAL, /* with its brackets */
  LM_LEX_WORD,    /* an encoded word with characters that no atom may hold */
  LM_LEX_SPECIAL  /* one byte of anything else */
};

struct lm_lex_token {
  enum lm_lex_kind kind;
  struct lm_str text;
};

struct lm_lex {
  const char *p;
  const char *end;
  const char *open_quote;   /* from here on a quote does not open a string: none closes it */
  const char *open_comment; /* the same for "(" */
  const char *open_literal; /* the same for "[" */
};

struct lm_lex lm_lex(struct lm_str text);

/* The next token, which points into the text. */
void lm_lex_next(struct lm_lex *x, struct lm_lex_token *out);

/* The same text, its tokens up to `end` only. */
struct lm_lex lm_lex_part(const struct lm_lex *x, const char *from, const char *end);

/* What a quoted string or a comment holds: its delimiters and quoted-pairs are resolved and line
** ends dropped. `out` has room for text.n bytes; returns how many were written. */
size_t lm_lex_inside(struct lm_str text, char *out);

/* True where the inside of `text` stands in it as it is. */
bool lm_lex_is_plain(struct lm_str text);

#endif
