# What all figures share. Each figure is redrawn by   gnuplot plots/NAME.gp   in the report's folder.
set encoding utf8
set datafile separator "\t"
set datafile missing 'nan'

# Names of configs are plain text: `noenhanced` gives no character in them a meaning.
terminal_svg(name, w, h) = sprintf("set terminal svg size %d,%d noenhanced font 'Arial,14' linewidth 1 background '#ffffff'; set output 'figures/%s.svg'", w, h, name)
# Twice the pixels, the same proportions: this terminal takes font sizes in points, 4/3 of a pixel.
terminal_png(name, w, h) = sprintf("set terminal pngcairo size %d,%d noenhanced font 'Arial,14' fontscale 1.5 linewidth 2 pointscale 2 background '#ffffff'; set output 'figures/%s.png'", 2*w, 2*h, name)
terminal(kind, name, w, h) = kind eq 'svg' ? terminal_svg(name, w, h) : terminal_png(name, w, h)

set border 3 linecolor rgb '#404040' linewidth 1
set tics nomirror out scale 0.5 textcolor rgb '#202020'
set grid linecolor rgb '#e4e4e4' linetype 1 linewidth 1
set style fill solid 1.0 noborder
set errorbars small
set style textbox opaque noborder fillcolor rgb '#ffffff' margins 0.3,0.1
unset key
