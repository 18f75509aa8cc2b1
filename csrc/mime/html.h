/*
** html.h: HTML mail as plain text, for a search index, a terminal, a preview.
**
** Not a browser: elements are known as blocks, lists, tables or nothing; whatever a page hides by style
** is shown. Script, style and head are dropped. Any octets are taken, in pieces of any size with the same
** result; time is linear, memory is the text and this struct.
*/
#ifndef LM_MIME_HTML_H
#define LM_MIME_HTML_H

#include "base/buf.h"

enum {
  LM_HTML_NAME = 16,   /* longer names of elements and attributes are known to nobody */
  LM_HTML_VALUE = 512, /* of an address or a caption: longer ones are cut */
  LM_HTML_LISTS = 16,  /* lists in lists: deeper ones are as deep as this */
  LM_HTML_QUOTES = 8
};

struct lm_html {
  bool links;   /* addresses of links stand behind them: "text <https://...>" */
  size_t limit; /* octets of text after which nothing more is added; SIZE_MAX: none */
  /* the markup that is being read */
  uint8_t state;
  uint8_t name_n, attribute_n, entity_n;
  char name[LM_HTML_NAME]; /* of the tag, in lower case */
  char attribute[LM_HTML_NAME];
  char entity[LM_HTML_NAME * 2];
  char quote;   /* around an attribute's value */
  bool closing; /* the tag is an end tag */
  uint8_t dashes;
  size_t value_n;
  char value[LM_HTML_VALUE]; /* of the attribute that matters: href, alt */
  size_t link_n, link_at;
  char link
      [LM_HTML_VALUE]; /* of the link that is open; link_at: how much of it its text has shown */
  bool link_differs;
  /* elements that are open */
  uint8_t raw;     /* the one whose content is no markup; 0: none */
  uint8_t raw_at;  /* how much of its end tag has matched */
  uint8_t dropped; /* the one that is dropped with all that is in it; 0: none */
  size_t dropped_depth, pre, lists, quotes;
  uint32_t counter[LM_HTML_LISTS]; /* next number of an ordered list; 0: no numbers */
  bool cell;                       /* a cell of the row is written already */
  /* the text */
  char space;    /* white space that is due before the next word: ' ', a tab, or 0 */
  uint8_t lines; /* line ends that are due: 1, or 2 for an empty line between */
  bool begun;    /* the text has something in it */
  bool at_start; /* of a line */
  bool fresh;    /* an item's mark was written, and nothing of the item */
  size_t written;
};

void lm_html_init(struct lm_html *h, bool links, size_t limit);

/* Appends what `piece` (UTF-8) says; false when memory is short. */
bool lm_html_put(struct lm_html *h, struct lm_buf *out, struct lm_str piece);

/* The end: appends what was held back, and a last line end. */
bool lm_html_end(struct lm_html *h, struct lm_buf *out);

/* The code point of a named character reference, without `&` and `;`; 0 where nobody knows it. */
uint32_t lm_html_entity(struct lm_str name);

/* Appends the first `characters` of a text on one line: white space is one space, what has no width is
** dropped, no character is cut. */
bool lm_preview(struct lm_str text, size_t characters, struct lm_buf *out);

#endif
