# fish completion for gptbench. What can stand where the program itself says: `gptbench complete WORD...`
# (bench/commands/cmd_complete.c).

function __gptbench_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l before (string match -r '^-[^=]*=' -- $typed)
    for line in ($words[1] complete $words[2..-1] "$typed" 2>/dev/null)
        switch $line
            case ':nospace'
                # fish puts no blank behind a word that ends in '='
            case ':directories'
                for found in (__fish_complete_directories (string replace -- "$before" '' "$typed"))
                    echo "$before$found"
                end
            case ':files*'
                set -l suffixes (string split ' ' -- (string replace -r '^:files ?' '' -- $line))
                for found in (__fish_complete_path (string replace -- "$before" '' "$typed"))
                    set -l path (string split -f 1 \t -- $found)
                    if test -z "$suffixes" -o -d "$path"
                        echo "$before$found"
                    else
                        for suffix in $suffixes
                            string match -q -- "*.$suffix" $path; and echo "$before$found"
                        end
                    end
                end
            case '?*'
                echo $line
        end
    end
end

complete -c gptbench -f -a '(__gptbench_complete)'
