/*
** imap_show.h: a parsed response as one line of text, so that tests are tables of strings.
*/
#ifndef LM_SPEC_IMAP_SHOW_H
#define LM_SPEC_IMAP_SHOW_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "imap/resp.h"

struct show {
  char text[8192];
  size_t n;
};

static void show(struct show *s, const char *format, ...) {
  va_list args;
  int n;
  va_start(args, format);
  n = vsnprintf(s->text + s->n, sizeof s->text - s->n, format, args);
  va_end(args);
  if (n > 0) s->n += (size_t)n;
  if (s->n >= sizeof s->text) s->n = sizeof s->text - 1;
}

static void show_str(struct show *s, struct lm_str text) {
  size_t i;
  if (text.p == NULL) {
    show(s, "nil");
    return;
  }
  show(s, "\"");
  for (i = 0; i < text.n; i++) {
    unsigned char c = (unsigned char)text.p[i];
    show(s, c < 32 || c == 127 ? "\\x%02X" : "%c", c);
  }
  show(s, "\"");
}

/* Trees in tests are shallow: recursion is fine here. */
static void show_value(struct show *s, const struct lm_imap_value *v) {
  const struct lm_imap_value *child;
  size_t i;
  if (v->key.n) show(s, "%.*s=", (int)v->key.n, v->key.p);
  switch (v->kind) {
  case LM_VALUE_NIL: show(s, "NIL"); return;
  case LM_VALUE_TRUE: show(s, "true"); return;
  case LM_VALUE_NUMBER: show(s, "%llu", (unsigned long long)v->u.number); return;
  case LM_VALUE_ATOM: show(s, "%.*s", (int)v->u.text.n, v->u.text.p); return;
  case LM_VALUE_STRING: show_str(s, v->u.text); return;
  case LM_VALUE_NUMBERS:
    for (i = 0; i < v->u.numbers.n; i++) show(s, "%s%u", i ? " " : "", v->u.numbers.p[i]);
    return;
  case LM_VALUE_TREE:
    for (i = 0; i + 1 < v->u.numbers.n; i += 2) {
      show(s, "%s%u:%u", i ? " " : "", v->u.numbers.p[i], v->u.numbers.p[i + 1]);
    }
    return;
  default: break;
  }
  show(s, v->kind == LM_VALUE_SET ? "{" : "(");
  for (child = v->u.list.first; child; child = child->next) {
    show_value(s, child);
    if (child->next) show(s, " ");
  }
  show(s, v->kind == LM_VALUE_SET ? "}" : ")");
}

static void show_addresses(struct show *s, const char *name, const struct lm_imap_address *a) {
  if (a) show(s, " %s=", name);
  for (; a; a = a->next) {
    show_str(s, a->name);
    show(s, "<%.*s", (int)a->mailbox.n, a->mailbox.n ? a->mailbox.p : "");
    show(s, "@%.*s>", (int)a->host.n, a->host.n ? a->host.p : "");
  }
}

static void show_envelope(struct show *s, const struct lm_imap_envelope *e) {
  static const char *const names[] = {"from", "sender", "reply_to", "to", "cc", "bcc"};
  int i;
  show(s, " envelope[date=");
  show_str(s, e->date);
  show(s, " subject=");
  show_str(s, e->subject);
  for (i = 0; i < LM_IMAP_ADDRESS_LISTS; i++) show_addresses(s, names[i], e->list[i]);
  show(s, " in_reply_to=");
  show_str(s, e->in_reply_to);
  show(s, " message_id=");
  show_str(s, e->message_id);
  show(s, "]");
}

static void show_part(struct show *s, const struct lm_imap_part *part) {
  const struct lm_imap_part *child;
  show(s, "[%.*s %.*s", (int)part->section.n, part->section.p, (int)part->type.n, part->type.p);
  if (part->has_size) show(s, " size=%llu", (unsigned long long)part->size);
  if (part->has_lines) show(s, " lines=%llu", (unsigned long long)part->lines);
  if (part->encoding.p) show(s, " encoding=%.*s", (int)part->encoding.n, part->encoding.p);
  if (part->parameters) show(s, " "), show_value(s, part->parameters);
  if (part->id.p) show(s, " id="), show_str(s, part->id);
  if (part->disposition.p) show(s, " disposition="), show_str(s, part->disposition);
  if (part->disposition_parameters) show_value(s, part->disposition_parameters);
  if (part->language) show(s, " language="), show_value(s, part->language);
  if (part->envelope) show_envelope(s, part->envelope);
  for (child = part->child; child; child = child->next) {
    show(s, " ");
    show_part(s, child);
  }
  show(s, "]");
}

static void show_fetch(struct show *s, const struct lm_imap_fetch *f) {
  const struct lm_imap_section *sec;
  const struct lm_imap_defect *d;
  int defects = 0;
  if (f->has & LM_IMAP_HAS_UID) show(s, " uid=%u", f->uid);
  if (f->has & LM_IMAP_HAS_FLAGS) show(s, " flags="), show_value(s, &f->flags);
  if (f->has & LM_IMAP_HAS_DATE) show(s, " date=%lld", (long long)f->date);
  if (f->has & LM_IMAP_HAS_SIZE) show(s, " size=%llu", (unsigned long long)f->size);
  if (f->has & LM_IMAP_HAS_MODSEQ) show(s, " modseq=%llu", (unsigned long long)f->modseq);
  if (f->envelope) show_envelope(s, f->envelope);
  if (f->bodystructure) show(s, " body="), show_part(s, f->bodystructure);
  for (sec = f->sections; sec; sec = sec->next) {
    show(s, " %s[%.*s]", sec->binary ? "binary" : "body", (int)sec->name.n, sec->name.p);
    if (sec->partial) show(s, "<%u>", sec->origin);
    show(s, sec->streamed ? "=streamed" : "=");
    if (!sec->streamed) show_str(s, sec->data);
  }
  if (f->other.count) show(s, " other="), show_value(s, &f->other);
  if (f->raw.count) show(s, " raw="), show_value(s, &f->raw);
  for (d = f->defects; d; d = d->next) defects++;
  if (defects) show(s, " defects=%d", defects);
}

static void show_resp(struct show *s, const struct lm_imap_resp *r) {
  if (r->kind == LM_IMAP_CONTINUE) show(s, "+ ");
  if (r->kind == LM_IMAP_TAGGED) show(s, "%.*s ", (int)r->tag.n, r->tag.p);
  if (r->has_number) show(s, "%u ", r->number);
  show(s, "%.*s", (int)r->name.n, r->name.p ? r->name.p : "");
  if (r->code.n) show(s, " [%.*s", (int)r->code.n, r->code.p);
  if (r->code.n && r->code_value.kind != LM_VALUE_NIL) show(s, " "), show_value(s, &r->code_value);
  if (r->code.n) show(s, "]");
  if (r->text.p) show(s, " text="), show_str(s, r->text);
  if (r->value.kind != LM_VALUE_NIL) show(s, " "), show_value(s, &r->value);
  if (r->fetch) show_fetch(s, r->fetch);
}

#endif
