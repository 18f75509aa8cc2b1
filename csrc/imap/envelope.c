/*
** envelope.c: ENVELOPE of a FETCH answer.
*/
#include "imap/envelope.h"

#include <string.h>

#include "imap/scan.h"
#include "mime/word2047.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#ifdef __SSE2__
/* A bit for each of 16 bytes that is "=", a control or 8-bit (below the space: signed). */
static inline unsigned odd_mask(const char *p) {
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
  return (unsigned)_mm_movemask_epi8(
      _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('=')), _mm_cmplt_epi8(v, _mm_set1_epi8(' '))));
}

static size_t skip_plain(const char *p, size_t n) {
  size_t i = 0;
  while (n - i >= 16 && odd_mask(p + i) == 0) i += 16;
  return i;
}
#else
static size_t skip_plain(const char *p, size_t n) {
  (void)p, (void)n;
  return 0;
}
#endif

/* True where `s` is plain printable ASCII without "=": nothing in it wants decoding. */
static bool is_plain(struct lm_str s) {
  size_t i = s.n ? skip_plain(s.p, s.n) : 0;
  while (i < s.n && s.p[i] != '=' && (signed char)s.p[i] >= ' ') i++;
  return i == s.n;
}

/* The text may hold encoded words: makes it UTF-8. Nothing is copied where there is nothing to do. */
static bool decode(struct lm_cursor *c, struct lm_str *s) {
  if (is_plain(*s) || lm_word2047_decode(c->arena, *s, s)) return true;
  return lm_cursor_fail(c, LM_E_MEMORY, "room for a decoded text");
}

static bool decoded(struct lm_cursor *c, struct lm_str *out) {
  return lm_imap_envelope_string(c, out) && decode(c, out);
}

/* address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")" */
static bool address(struct lm_cursor *c, struct lm_imap_address *out) {
  struct lm_str adl;
  return lm_expect(c, '(', "address") && decoded(c, &out->name) && lm_imap_sp(c) &&
         lm_imap_envelope_string(c, &adl) && lm_imap_sp(c) &&
         lm_imap_envelope_string(c, &out->mailbox) && lm_imap_sp(c) &&
         lm_imap_envelope_string(c, &out->host) && lm_expect(c, ')', "end of address");
}

/* env-from = "(" 1*address ")" / nil; an empty list and spaces between addresses pass. */
static bool addresses(struct lm_cursor *c, struct lm_imap_address **out) {
  struct lm_imap_address **tail = out;
  *out = NULL;
  if (!lm_accept(c, '(')) {
    return lm_imap_plain_nil(c) || lm_imap_nil(c) ||
           lm_cursor_fail(c, LM_E_PROTOCOL, "address list");
  }
  while (!lm_accept(c, ')')) {
    struct lm_imap_address *a = lm_arena_alloc(c->arena, sizeof *a);
    if (a == NULL) return lm_cursor_fail(c, LM_E_MEMORY, "room for an address");
    if (!address(c, a)) return false;
    a->next = NULL;
    *tail = a;
    tail = &a->next;
    while (lm_accept(c, ' ')) continue;
  }
  return true;
}

/* Sender and reply-to are most often the same octets as from: then they are the same list. */
static bool same_as(struct lm_cursor *c, struct lm_str text) {
  if (text.n <= 3 || (size_t)(c->end - c->p) < text.n || memcmp(c->p, text.p, text.n) != 0) {
    return false;
  }
  c->p += text.n;
  return true;
}

static bool address_lists(struct lm_cursor *c, struct lm_imap_envelope *e) {
  struct lm_str from = {c->p, 0};
  int i;
  for (i = 0; i < LM_IMAP_ADDRESS_LISTS; i++) {
    if ((i == LM_IMAP_SENDER || i == LM_IMAP_REPLY_TO) && same_as(c, from)) {
      e->list[i] = e->list[LM_IMAP_FROM];
    } else if (!addresses(c, &e->list[i])) {
      return false;
    }
    if (i == LM_IMAP_FROM) from.n = (size_t)(c->p - from.p);
    if (!lm_imap_sp(c)) return false;
  }
  return true;
}

/* envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to SP
**            env-cc SP env-bcc SP env-in-reply-to SP env-message-id ")" */
static bool envelope(struct lm_cursor *c, struct lm_imap_envelope *e) {
  if (!lm_expect(c, '(', "envelope") || !lm_imap_envelope_string(c, &e->date)) return false;
  if (!lm_imap_sp(c) || !decoded(c, &e->subject) || !lm_imap_sp(c)) return false;
  if (!address_lists(c, e)) return false;
  return lm_imap_envelope_string(c, &e->in_reply_to) && lm_imap_sp(c) &&
         lm_imap_envelope_string(c, &e->message_id) && lm_expect(c, ')', "end of envelope");
}

bool lm_imap_envelope(struct lm_cursor *c, struct lm_imap_envelope *out) {
  /* Domino puts a second pair around it: spec/wire/imap/quirk-envelope-parentheses.wire */
  bool twice = c->end - c->p > 1 && c->p[0] == '(' && c->p[1] == '(';
  if (twice) c->p++;
  return envelope(c, out) && (!twice || lm_expect(c, ')', "end of envelope"));
}

/* --- out of a value tree ----------------------------------------------------------------------- */

/* The next child as a text; NIL, and what is no text, is absent. */
static struct lm_str next_text(const struct lm_imap_value **v) {
  const struct lm_imap_value *here = *v;
  if (here) *v = here->next;
  return lm_imap_text(here);
}

static bool address_of(struct lm_cursor *c, const struct lm_imap_value *v,
                       struct lm_imap_address *out) {
  out->name = next_text(&v);
  next_text(&v);
  out->mailbox = next_text(&v);
  out->host = next_text(&v);
  return decode(c, &out->name);
}

static const struct lm_imap_value *nth(const struct lm_imap_value *v, int n) {
  while (v && n-- > 0) v = v->next;
  return v;
}

static bool addresses_of(struct lm_cursor *c, const struct lm_imap_value *list,
                         struct lm_imap_address **tail) {
  const struct lm_imap_value *v = list && list->kind == LM_VALUE_LIST ? list->u.list.first : NULL;
  if (v && lm_imap_text(nth(v, 2)).p && lm_imap_text(nth(v, 3)).p) {
    v = list; /* an address where a list of them belongs */
  }
  for (; v; v = v == list ? NULL : v->next) {
    struct lm_imap_address *a;
    if (v->kind != LM_VALUE_LIST) continue;
    if ((a = lm_arena_zero(c->arena, sizeof *a)) == NULL) {
      return lm_cursor_fail(c, LM_E_MEMORY, "room for an address");
    }
    if (!address_of(c, v->u.list.first, a)) return false;
    *tail = a;
    tail = &a->next;
  }
  return true;
}

bool lm_imap_envelope_of(struct lm_cursor *c, const struct lm_imap_value *v,
                         struct lm_imap_envelope *out) {
  int i;
  memset(out, 0, sizeof *out);
  v = v->kind == LM_VALUE_LIST ? v->u.list.first : NULL;
  out->date = next_text(&v);
  out->subject = next_text(&v);
  if (!decode(c, &out->subject)) return false;
  for (i = 0; i < LM_IMAP_ADDRESS_LISTS; i++) {
    if (!addresses_of(c, v, &out->list[i])) return false;
    if (v) v = v->next;
  }
  out->in_reply_to = next_text(&v);
  out->message_id = next_text(&v);
  return true;
}
