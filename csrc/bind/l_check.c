/*
** l_check.c: what is wrong with a message: its structure, its header fields, its encoded contents.
**
** Reads all of it, so it is done only when asked for. Of each kind of trouble the first place is told:
** a field of a thousand bad addresses is one defect.
*/
#include <string.h>

#include "base/chars.h"
#include "bind/message.h"
#include "bind/push_mime.h"
#include "mime/charset.h"
#include "mime/content.h"
#include "mime/date.h"
#include "mime/msgid.h"
#include "mime/params.h"
#include "mime/scan.h"
#include "mime/tnef.h"
#include "mime/word2047.h"

struct check {
  lua_State *L; /* the list is on the top of its stack */
  const struct lm_message *m;
  struct lm_scratch *s;
  size_t count;
};

static void add(struct check *c, const char *why, size_t offset, struct lm_str field) {
  lua_State *L = c->L;
  if (c->count++ >= LM_DEFECTS) return;
  lua_createtable(L, 0, 3);
  lua_pushstring(L, why);
  lua_setfield(L, -2, "what");
  lm_push_u64(L, offset + 1);
  lua_setfield(L, -2, "offset");
  if (field.n) {
    lm_pushstr(L, field);
    lua_setfield(L, -2, "field");
  }
  lua_rawseti(L, -2, (int)c->count);
}

enum grammar { OTHER, ADDRESSES, DATE, PARAMETERS, ID, IDS };

/* Fields with a grammar, and whether they may stand once only (RFC 5322 §3.6, RFC 2045 §3). The parser tells of
** a second Content-Type and Content-Transfer-Encoding. */
static const struct known {
  const char *name;
  enum grammar grammar;
  bool once;
} known[] = {{"from", ADDRESSES, true},
             {"sender", ADDRESSES, true},
             {"reply-to", ADDRESSES, true},
             {"to", ADDRESSES, true},
             {"cc", ADDRESSES, true},
             {"bcc", ADDRESSES, true},
             {"resent-to", ADDRESSES, false},
             {"resent-from", ADDRESSES, false},
             {"subject", OTHER, true},
             {"date", DATE, true},
             {"resent-date", DATE, false},
             {"message-id", ID, true},
             {"in-reply-to", IDS, true},
             {"references", IDS, true},
             {"mime-version", OTHER, true},
             {"content-type", PARAMETERS, false},
             {"content-disposition", PARAMETERS, true},
             {"content-id", ID, true},
             {"content-description", OTHER, true}};

enum { KNOWN = sizeof known / sizeof *known };

/* Its place in `known`; KNOWN where it is none of them. */
static size_t find_known(struct lm_str name) {
  size_t i = 0;
  while (i < KNOWN && !lm_str_ieq(name, (struct lm_str){known[i].name, strlen(known[i].name)})) i++;
  return i;
}

static void check_addresses(struct check *c, const struct lm_header_field *f, size_t at) {
  struct lm_addr_list list;
  if (!lm_addr_list(&c->s->arena, f->value, &list)) lm_no_memory(c->L);
  if (list.defects) add(c, list.why, at + list.offset, f->name);
}

static void check_params(struct check *c, const struct lm_header_field *f, size_t at) {
  struct lm_params params;
  if (!lm_params_read(&c->s->arena, f->value, c->m->limits.parameters, &params)) lm_no_memory(c->L);
  if (params.defects) add(c, params.why, at + params.offset, f->name);
}

static void check_id(struct check *c, const struct lm_header_field *f, size_t at) {
  char *room = lm_arena_alloc(&c->s->arena, f->value.n + 1);
  struct lm_lex x = lm_lex(f->value);
  if (room == NULL) lm_no_memory(c->L);
  if (lm_msgid_next(&x, room) == 0) add(c, "no message id", at, f->name);
}

static void check_words(struct check *c, const struct lm_header_field *f, size_t at, bool quotes) {
  size_t offset = 0;
  const char *why = lm_word2047_trouble(f->value, quotes, &offset);
  if (why) add(c, why, at + offset, f->name);
}

static void check_grammar(struct check *c, const struct lm_header_field *f, enum grammar grammar,
                          size_t at) {
  int64_t epoch;
  switch (grammar) {
  case ADDRESSES: check_addresses(c, f, at); break;
  case DATE:
    if (!lm_date_parse(f->value, &epoch, NULL)) add(c, "no date", at, f->name);
    break;
  case PARAMETERS: check_params(c, f, at); break;
  case ID: check_id(c, f, at); break;
  default: break;
  }
  if (grammar == OTHER || grammar == ADDRESSES || grammar == PARAMETERS)
    check_words(c, f, at, grammar != OTHER);
  lm_arena_reset(&c->s->arena);
}

/* `seen`: a bit for each of `known` that the header had. */
static void check_field(struct check *c, const struct lm_header_field *f, uint32_t *seen) {
  size_t which = find_known(f->name);
  size_t at = (size_t)(f->value.p - c->m->tree.text.p);
  const char *nul = f->value.n ? memchr(f->value.p, '\0', f->value.n) : NULL;
  size_t good = lm_utf8_span(f->value);
  if (f->name.n == 0) return;
  if (nul) add(c, "a NUL in a header field", at + (size_t)(nul - f->value.p), f->name);
  if (good < f->value.n) add(c, "octets in a header field that are not UTF-8", at + good, f->name);
  if (which < KNOWN && known[which].once && *seen >> which & 1)
    add(c, "a field that may stand once is repeated", at, f->name);
  if (which < KNOWN) *seen |= UINT32_C(1) << which;
  check_grammar(c, f, which < KNOWN ? known[which].grammar : OTHER, at);
}

/* --- contents --------------------------------------------------------------------------------------- */

static void check_text(struct check *c, const struct lm_part *part, const struct lm_media *media,
                       struct lm_str bytes) {
  struct lm_scratch *s = c->s;
  struct lm_params params;
  struct lm_text_kind kind;
  const char *why;
  if (!lm_params_read(&s->arena, part->type, c->m->limits.parameters, &params)) lm_no_memory(c->L);
  kind.charset = lm_params_get(&params, LM_STR("charset"));
  kind.html = lm_media_is(media, "text", "html");
  kind.kept = &s->converters;
  if ((why = lm_content_trouble(&s->arena, &kind, bytes)) != NULL)
    add(c, why, part->body, LM_NOSTR);
}

/* A file that is sent along is octets: who opens it finds out what they are. */
static bool is_shown(const struct lm_part *part, const struct lm_media *media) {
  if (!lm_media_is(media, "text", "plain") && !lm_media_is(media, "text", "html")) return false;
  return part->disposition.p == NULL ||
         !lm_str_istarts(lm_trimmed(part->disposition), LM_STR("attachment"));
}

static void check_content(struct check *c, const struct lm_part *part) {
  struct lm_scratch *s = c->s;
  struct lm_media media;
  struct lm_tnef tnef;
  struct lm_str out;
  size_t defects;
  if (!lm_content_decode(part->transfer, lm_message_sub(c->m, part->body, part->end), &s->buf, &out,
                         &defects))
    lm_no_memory(c->L);
  if (defects) add(c, "content that breaks its transfer encoding", part->body, LM_NOSTR);
  lm_tree_media(part, &media);
  if (is_shown(part, &media)) check_text(c, part, &media, out);
  if (lm_media_is(&media, "application", "ms-tnef")) {
    if (!lm_tnef_read(&s->arena, out, &tnef)) lm_no_memory(c->L);
    if (tnef.broken) add(c, "a winmail.dat that breaks off", part->body, LM_NOSTR);
  }
  lm_arena_reset(&s->arena);
}

static void check_part(struct check *c, const struct lm_part *part) {
  struct lm_header_walk w = lm_header_walk(lm_message_sub(c->m, part->start, part->body));
  struct lm_header_field f;
  uint32_t seen = 0;
  while (lm_header_next(&w, &f)) check_field(c, &f, &seen);
  if (part->first == LM_NO_PART) check_content(c, part);
}

/* Lines that end otherwise than the first does: what one program takes for a line another does not. */
static void check_lines(struct check *c, struct lm_str text) {
  const char *end = text.p + text.n;
  const char *p = text.p;
  size_t first = 0;
  for (p = lm_scan_line_end(p, end); p < end; p = lm_scan_line_end(p, end)) {
    const char *next = lm_scan_next_line(p, end);
    size_t kind = *p == '\n' ? 1 : (size_t)(next - p) + 1;
    if (first && kind != first) {
      add(c, "line ends are mixed", (size_t)(p - text.p), LM_NOSTR);
      return;
    }
    first = kind;
    p = next;
  }
}

int lm_message_check(lua_State *L) {
  struct check c = {L, lm_checkmessage(L), NULL, 0};
  const struct lm_tree *t = &c.m->tree;
  size_t i;
  c.s = lm_take_scratch(L);
  lua_newtable(L);
  for (i = 0; i < t->defects_n; i++) add(&c, t->defects[i].why, t->defects[i].offset, LM_NOSTR);
  c.count += t->defects_all - t->defects_n;
  check_lines(&c, t->text);
  for (i = 0; i < t->count; i++) check_part(&c, &t->parts[i]);
  lm_push_u64(L, c.count);
  return lm_give(&c.s->shared, 2);
}
