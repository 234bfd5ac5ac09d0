#!/usr/bin/env bash
# gptbench data pack, info and synth as a user meets them.
# kinds: sanitized (files byte for byte)
. "$(dirname "$0")/lib.sh"
data=${GPTBENCH_TEST_DATA:-$root/../shared/data}
tiny=$root/tests/fixtures/bpe/tiny.bpe

# expect EXIT-CODE STREAM PATTERN ARGUMENTS...: `gptbench data ARGUMENTS` says PATTERN on STREAM.
expect() {
    local code=$1 stream=$2 pattern=$3
    shift 3
    "$gptbench" data "$@" >out 2>err </dev/null
    local rc=$?
    [ "$rc" -eq "$code" ] && grep -qE -- "$pattern" "$stream"
    check "data $* exits $code, $stream: /$pattern/" $?
}

# tokens FILE: its token ids on one line
tokens() {
    tail -c +1025 "$1" | od -An -v -tu2 -w2 | tr -d ' ' | tr '\n' ' '
}

# expect_tokens FILE IDS...
expect_tokens() {
    local file=$1
    shift
    [ "$(tokens "$file")" = "$* " ]
    check "$file holds $*" $?
}

# ---- bytes ----
printf 'ab\377\n' >a.txt
expect 0 out '4 tokens, vocab_size = 256' pack --bytes -o a.bin a.txt
expect_tokens a.bin 97 98 255 10
[ "$(stat -c %s a.bin)" -eq 1032 ] && [ "$(head -c 12 a.bin | od -An -tu4 -w12 | tr -s ' ')" = " 20240520 1 4" ]
check "a.bin has the header that llm.c reads" $?
expect 0 out '8 tokens' pack -o aa.bin a.txt a.txt
"$gptbench" data pack --shard-tokens 3 -o parts - < <(printf 1234567) >out 2>err
[ $? -eq 0 ] && grep -qE '^all 3 +7 ' out && [ "$(ls parts_*.bin | tr '\n' ' ')" = "parts_000000.bin parts_000001.bin parts_000002.bin " ]
check "standard input becomes numbered shards" $?
expect_tokens parts_000002.bin 55
expect 2 err 'parts_000000.bin: exists; remove' pack --shard-tokens 3 -o parts.bin a.txt

# ---- BPE: ids 256.. are the lines of tiny.bpe; 65 is "b", 198 a newline; 282 opens a document ----
printf 'aaab' >b.txt
expect 0 out '1 document, 3 tokens, vocab_size = 283' pack --bpe "$tiny" -o b.bin b.txt
grep -q "not GPT-2's published ones" err
check "a merge list that is not the published one is said to be so" $?
expect_tokens b.bin 282 260 65 # "a a", then "aa a" before "a b"
expect 0 out '2 documents, 6 tokens' pack --bpe "$tiny" -o bb.bin b.txt b.txt
printf 'aab<|doc|>\n<|doc|><|doc|>aab<|doc|>' >docs.txt
expect 0 out '3 documents' pack --bpe "$tiny" --document-separator '<|doc|>' -o docs.bin docs.txt
expect_tokens docs.bin 282 256 65 282 198 282 256 65
printf 'aab\n\n\naab' >blank.txt
expect 0 out '2 documents' pack --bpe "$tiny" --document-separator '\n\n\n' -o blank.bin blank.txt
expect_tokens blank.bin 282 256 65 282 256 65
printf 'a\377\303\251\340\200' >broken.txt
expect 0 err 'warning: 3 places were not UTF-8' pack --bpe "$tiny" -o broken.bin broken.txt

# A text longer than the reader's buffer, with a separator, through a pipe: as from whole files.
yes 'the aab baa caf' | head -c 9000000 >long.txt
{ cat long.txt; printf '<|doc|>'; cat long.txt; } >both.txt
"$gptbench" data pack --bpe "$tiny" -o long1.bin long.txt long.txt >out 2>err &&
    "$gptbench" data pack --bpe "$tiny" --document-separator '<|doc|>' -o long2.bin both.txt >out 2>err &&
    cmp -s long1.bin long2.bin
check "a long text gives the same shard in one file or two" $?

# ---- info ----
expect 0 out 'a.bin +4 +255 +256 +[0-9a-f]{32}$' info a.bin
expect 2 err 'b.bin: token 282 at position 0 is not below vocab_size = 256' info --vocab 256 b.bin
head -c 1029 a.bin >cut.bin
expect 2 err 'cut.bin: truncated: header says 4 tokens, the file holds 2' info 'cu*.bin'
expect 2 err 'cut.bin: truncated.*and 1 more of 3 are broken' info cut.bin a.bin cut.bin
expect 2 err 'not a token shard \(magic' info long.txt
expect 2 err 'nothing\*: no such file' info 'nothing*'
expect 2 err '\.: is a directory' info .

# ---- synth ----
expect 0 out 'entropy rate  1\.843956' synth
expect 0 out 'wrote +s.bin: 100,000 tokens' synth -o s.bin --tokens 100000 --spec synth:seed=3
expect 0 out 's.bin +100,000 +255 +256' info --vocab 256 s.bin
expect 2 err 'unknown parameter "sede"' synth --spec synth:sede=3
expect 2 err '-o and --tokens belong together' synth -o x.bin

# ---- errors ----
expect 2 err 'unknown action "pakc"' pakc
expect 2 err '-o is missing' pack a.txt
expect 2 err 'missing.txt: cannot open' pack -o x.bin missing.txt
expect 2 err 'exclude each other' pack --bytes --bpe "$tiny" -o x.bin a.txt
expect 2 err 'needs --bpe' pack --document-separator x -o x.bin a.txt
expect 2 err 'a.txt:1: expected two symbols' pack --bpe a.txt -o x.bin a.txt
expect 2 err 'the input is empty' pack -o x.bin /dev/null
expect 2 err 'is a directory' pack -o x.bin .
expect 3 err 'no/x.bin.tmp-[0-9]+: cannot create' pack -o no/x.bin a.txt
[ ! -e x.bin ] && ! ls ./*.tmp-* >/dev/null 2>&1
check "no file is left of what failed" $?

# ---- the published merges ----
if [ -r "$data/gpt2/vocab.bpe" ]; then
    printf 'Hello world' >h.txt
    expect 0 out '1 document, 3 tokens, vocab_size = 50257' pack --bpe "$data/gpt2/vocab.bpe" -o h.bin h.txt
    expect_tokens h.bin 50256 15496 995 # as GPT-2's own encoder.py gives
    expect 0 out 'books_val_000000.bin +459,754 +50256 +50257' info "$data/gpt2/books_val*.bin"
else
    skip "the published merge list" "it is not at $data (GPTBENCH_TEST_DATA)"
fi

finish
