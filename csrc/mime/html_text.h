/*
** html_text.h: the two halves of html.h, for each other: what markup says (html.c) and the text that
** becomes of it (html_text.c).
*/
#ifndef LM_MIME_HTML_TEXT_H
#define LM_MIME_HTML_TEXT_H

#include "mime/html.h"

/* Elements that mean something to a text. */
enum lm_html_element {
  LM_EL_NONE,
  LM_EL_A,
  LM_EL_BLOCK, /* begins and ends a line */
  LM_EL_BODY,
  LM_EL_BR,
  LM_EL_CELL,
  LM_EL_DD,
  LM_EL_HEAD,
  LM_EL_HR,
  LM_EL_IMG,
  LM_EL_ITEM,
  LM_EL_LIST,
  LM_EL_META, /* belongs to a head, and is nothing */
  LM_EL_NUMBERED,
  LM_EL_PARAGRAPH, /* with an empty line around it */
  LM_EL_PRE,
  LM_EL_QUOTE,
  LM_EL_ROW,
  LM_EL_SVG,
  LM_EL_TEMPLATE,
  LM_EL_SCRIPT, /* these and those below: no markup inside */
  LM_EL_STYLE,
  LM_EL_TITLE,
  LM_EL_IFRAME,
  LM_EL_TEXTAREA
};

/* Octets of a word, which never hold white space. */
bool lm_html_word(struct lm_html *h, struct lm_buf *out, struct lm_str s);

/* One octet of white space in running text. */
bool lm_html_blank(struct lm_html *h, struct lm_buf *out, char c);

/* One character by its number. */
bool lm_html_character(struct lm_html *h, struct lm_buf *out, uint32_t code);

/* A tag; its attribute that matters stands in h->value. */
bool lm_html_tag(struct lm_html *h, struct lm_buf *out, enum lm_html_element element);

#endif
