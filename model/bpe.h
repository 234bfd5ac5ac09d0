/* bpe.h: GPT-2's byte-level BPE, from its published merge list (vocab.bpe).
 *
 * Token ids follow from the list alone: 0..255 are the bytes in GPT-2's order (33..126, 161..172,
 * 174..255, then the other 68 in order), 256 + i is what line i of the list makes, and the id
 * after the last is <|endoftext|> (50256 with the published 50,000 merges).
 *
 * Text is cut into pretokens by GPT-2's pattern
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * with \s = White_Space and \p{L}, \p{N} of Unicode 16, or newer where PCRE2 is. In each
 * pretoken the pair of neighbours whose line comes first is merged, leftmost first, until no
 * pair is in the list; that takes n log n time for a pretoken of n bytes. What is not UTF-8 is
 * read as U+FFFD, as Python's decode(errors="replace") does. */
#ifndef GPTBENCH_MODEL_BPE_H
#define GPTBENCH_MODEL_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

typedef struct bpe bpe; /* for one thread at a time: it holds the encoder's scratch memory */

/* Growing array of token ids; zero-initialise, end with bpe_tokens_free. */
typedef struct bpe_tokens {
    int32_t *ids;
    int64_t count, capacity;
} bpe_tokens;

void bpe_tokens_free(bpe_tokens *tokens);

/* Reads a merge file: an optional first line "#version: ...", then one merge per line, two
 * symbols separated by one space, each made of GPT-2's 256 printable stand-ins for bytes. Both
 * must be single bytes or what an earlier line makes, and no two lines may make the same.
 * GB_ERR_FORMAT "vocab.bpe:17: ..." else, also when there are more merges than 16-bit token ids
 * allow; GB_ERR_USAGE when there is no such file. *out is owned by the caller. */
gb_status bpe_open(bpe **out, const char *path, gb_error *err);
/* The same from memory; `name` is used in messages. */
gb_status bpe_open_text(bpe **out, const char *name, const char *text, size_t bytes, gb_error *err);
void bpe_close(bpe *encoder); /* NULL is fine */

int32_t bpe_vocab_size(const bpe *encoder);  /* 256 + merges + 1 */
int32_t bpe_end_of_text(const bpe *encoder); /* the last id */
/* True when the merges are GPT-2's published ones. */
bool bpe_is_published(const bpe *encoder);
/* Bytes of a token in 0..vocab_size-1 ("<|endoftext|>" for the last); not NUL-terminated. */
const char *bpe_token_bytes(const bpe *encoder, int32_t token, size_t *length);

/* Appends the tokens of text[0..bytes) to *tokens. *replaced, if not NULL, is increased by the
 * number of U+FFFD put in for what is not UTF-8. Text that looks like <|endoftext|> is text.
 * GB_ERR_OOM; GB_ERR_USAGE for a pretoken of 2 GiB or more. */
gb_status bpe_encode(bpe *encoder, const char *text, size_t bytes, bpe_tokens *tokens,
                     int64_t *replaced, gb_error *err);

/* A long text may be encoded in pieces if it is cut where no pretoken can reach across: returns
 * the last such place in text[0..bytes), between a character that is not white space and a white
 * one, or 0 when there is none. Encoding both sides by themselves gives the same tokens as
 * encoding the whole. */
size_t bpe_find_seam(const char *text, size_t bytes);

#endif
