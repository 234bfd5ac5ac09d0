#!/usr/bin/env bash
# What a command writes never takes the place of what it reads, nor of what somebody else made: it is
# refused with exit code 2 before anything runs. And names that SQLite takes for something else than a
# file (sqlite3_open, "In-memory Databases", "URI filenames").
# kinds: sanitized (exit codes, and what is left behind)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
needs "outputs" sqlite3
say() { # ARGUMENTS...
    timeout 120 "$gptbench" "$@" >out 2>err
    rc=$?
}
# Refused, and these files are as they were.
kept=
keep() { # FILE...
    kept=$(sha256sum "$@")
}
refused() { # WHAT WORDS
    local same=1
    sha256sum -c --status <<<"$kept" && same=0
    [ "$rc" = 2 ] && grep -q -- "$2" err && [ $same = 0 ]
    check "$1 ($rc)" $?
}

# ---- data pack, data synth ----
echo 'my only copy' >text.bin
ln text.bin hard.bin && ln -s text.bin soft.bin && mkdir folder && ln -s .. folder/up
keep text.bin
for out in text.bin hard.bin soft.bin ./text.bin folder/up/text.bin "$PWD/text.bin"; do
    say data pack -o "$out" text.bin
    refused "data pack -o $out over its input" 'would replace text.bin, which is read'
done
say data pack -o text.bin - <text.bin
refused "over standard input" 'would replace standard input'
echo more >more.txt
say data pack -o text.bin more.txt hard.bin
refused "over the second input" 'would replace hard.bin'
printf '#version: 0.2\nh e\n' >merges.bin
keep merges.bin
say data pack --bpe merges.bin -o merges.bin more.txt
refused "over the merge file" 'would replace merges.bin'
cp more.txt t_000001.bin
keep t_000001.bin
seq 200 >long.txt
say data pack --bytes --shard-tokens 100 -o t long.txt t_000001.bin
refused "a shard of several over an input" 'would replace t_000001.bin'
is "nothing half-written is left" "$(find . -name '*.tmp*')" ""
say data pack -o packed.bin text.bin
is "another name is fine" $rc 0

# ---- train, parity, profile ----
tiny=(--set vocab_size=256 --set n_layer=1 --set n_head=2 --set n_embd=32 --set batch_size=2
    --set sequence_length=16)
train=("${tiny[@]}" --set num_iterations=2 --set val_tokens=32 --threads 1)
say data synth -o tokens.bin --tokens 5000
say data synth -o val.bin --tokens 5000 --spec synth:stream=val
say train "${train[@]}" --train tokens.bin --val val.bin --save w.safetensors
is "train --save" $rc 0
ln w.safetensors hard.safetensors
keep tokens.bin val.bin w.safetensors
say train "${train[@]}" --train tokens.bin --val val.bin --save tokens.bin
refused "train --save over its data" 'would replace tokens.bin, which --train reads'
say train "${train[@]}" --train 'tok*.bin' --val 'v*.bin' --save ./val.bin
refused "train --save over a shard that a glob finds" 'would replace val.bin, which --val reads'
say train "${train[@]}" --train tokens.bin --val val.bin --losses tokens.bin
refused "train --losses over its data" 'which --train reads'
say train "${train[@]}" --train tokens.bin --val val.bin --load w.safetensors --save hard.safetensors
refused "train --save over --load" 'which --load reads'
say train "${train[@]}" --train tokens.bin --val val.bin --losses new --save new
refused "train --save and --losses into one file" 'is also what --save writes'
say parity "${tiny[@]}" --weights w.safetensors --tokens tokens.bin -o hard.safetensors
refused "parity -o over its weights" 'which --weights reads'
say parity "${tiny[@]}" --weights w.safetensors --tokens tokens.bin -o folder/up/tokens.bin
refused "parity -o over its tokens" 'which --tokens reads'
say profile "${tiny[@]}" --train tokens.bin --trace tokens.bin --threads 1
refused "profile --trace over its data" 'which --train reads'
mkfifo fifo
for out in fifo folder; do
    say train "${train[@]}" --train tokens.bin --val val.bin --save $out
    [ $rc != 0 ] && { [ -p $out ] || [ -d $out ]; }
    check "train --save $out: refused, and it is what it was" $?
    say parity "${tiny[@]}" --weights w.safetensors --tokens tokens.bin -o $out
    [ $rc != 0 ] && { [ -p $out ] || [ -d $out ]; }
    check "parity -o $out: refused, and it is what it was" $?
done

# ---- report ----
tiny_pair s 1 20 10 0 >s.ini
say run s.ini --threads 1 --db s.db --no-report
is "a suite" $rc 0
for name in index.html report.md report.json results.tsv; do
    mkdir -p site && echo mine >site/$name
    keep site/$name
    say report --db s.db -o site
    refused "report into a folder with an own $name" "site/$name: exists, and was not written by gptbench"
    say run s.ini --threads 1 --db new.db --report site
    refused "run --report into it" "site/$name: exists"
    [ ! -e new.db ]
    check "and nothing has run" $?
    rm -r site
done
mkdir -p site/plots && echo mine >site/plots/step_avg.gp
keep site/plots/step_avg.gp
say report --db s.db -o site
refused "report over a script of somebody else's" 'was not written by gptbench'
is "and nothing of it is there" "$(find site -type f)" site/plots/step_avg.gp
rm -r site
mkdir site && echo mine >site/notes
say report --db s.db -o site
[ "$rc" = 0 ] || [ "$rc" = 3 ] # 3: no gnuplot
check "report beside other things ($rc)" $?
made=$rc
say report --db s.db -o site
is "report over a report" "$rc $(cat site/notes)" "$made mine"
keep s.db s.ini
say report --db s.db -o s.db
refused "report -o over the database" 's.db: is a file; the report goes into a folder'
say run s.ini --threads 1 --db new.db --report s.ini
refused "run --report over the suite" 's.ini: is a file'

# ---- names of databases ----
for words in 'run s.ini --threads 1 --no-report' list 'show 1' 'report -o r2' 'compare a b' 'why a b' 'claims s.ini'; do
    for name in :memory: '' file:x.db 'file:x.db?mode=memory' 'file::memory:' file:///tmp/x%00.db :x: s.db-wal s.db-shm \
        s.db-journal folder folder/ fifo /dev/null /dev/full ' ' $'\t' $'a\nb.db' $'\e[1m.db'; do
        # shellcheck disable=SC2086 # words to be split
        say $words --db "$name"
        [ $rc = 2 ] && ! grep -q '^ok' err
        check "$words --db '$name': refused before anything runs ($rc)" $?
    done
done
sha256sum -c --status <<<"$kept"
check "the database is as it was" $?
for words in "run s.ini --threads 1 --report" "report --db s.db -o" "train --save" "train --losses" "train --checkpoints" \
    "parity --weights" "data pack tokens.bin -o" "profile --trace"; do
    for name in '' ' ' $'a\nb'; do
        # shellcheck disable=SC2086 # words to be split
        say $words "$name"
        [ $rc = 2 ] && grep -qE -e "${words##* } |--output " err
        check "$words '$name': refused ($rc)" $?
    done
done
for name in 'a?b.db' 'a%00b.db' ' a.db' './:memory:' './file:x' 'a#b' "a'b"; do
    say run s.ini --threads 1 --no-report --db "$name"
    [ $rc = 0 ] && [ "$(head -c 15 "$name")" = 'SQLite format 3' ]
    check "--db '$name' is the file of that name ($rc)" $?
done
cp s.ini kept.ini
say run s.ini --threads 1 --no-report --db s.ini
[ $rc = 2 ] && cmp -s s.ini kept.ini
check "run --db over the suite: refused ($rc)" $?
sed "s/^train = .*/train = tokens.bin/; s/^val = .*/val = val.bin/; s/vocab_size = 64/vocab_size = 256/" s.ini >d.ini
keep tokens.bin
say run d.ini --threads 1 --no-report --db tokens.bin
[ $rc = 2 ] && sha256sum -c --status <<<"$kept"
check "run --db over its data: refused ($rc)" $?
finish
