#include <stdio.h>
int main(void)
{
    puts("gptbench");
    return 0;
}
