/* Where the runs of a suite keep checkpoints: beside the database, a folder for each run. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/plan/runplan_internal.h"

/* A job travels as JSON, which holds UTF-8 alone. */
static bool text_is_utf8(const char *text)
{
    json_t *json = json_string(text);
    json_decref(json);
    return json != NULL;
}

void runplan_checkpoints_place(runplan *plan, const store *s)
{
    const char *path = store_path(s);
    size_t length = strlen(path);
    bool wanted = plan->suite->checkpoint_steps > 0 || plan->suite->checkpoint_s > 0;
    plan->checkpoints_dir[0] = '\0';
    if (!wanted || strcmp(path, ":memory:") == 0 || !text_is_utf8(path) ||
        length + sizeof ".checkpoints" > sizeof plan->checkpoints_dir) {
        return;
    }
    if (length > 3 && strcmp(path + length - 3, ".db") == 0) {
        length -= 3;
    }
    snprintf(plan->checkpoints_dir, sizeof plan->checkpoints_dir, "%.*s.checkpoints", (int)length,
             path);
}

gb_status runplan_checkpoints_tell(const runplan *plan, const runplan_run *run, worker_job *job,
                                   char **dir, gb_error *err)
{
    *dir = NULL;
    if (!plan->checkpoints_dir[0]) {
        return GB_OK;
    }
    /* An identity is made of hexadecimal digits: a name that is safe anywhere. */
    snprintf(job->checkpoint_dir, sizeof job->checkpoint_dir, "%s/%s-r%lld", plan->checkpoints_dir,
             run->identity, (long long)run->replicate);
    snprintf(job->identity, sizeof job->identity, "%s", run->identity);
    job->checkpoint_steps = plan->suite->checkpoint_steps;
    job->checkpoint_s = plan->suite->checkpoint_s;
    *dir = strdup(job->checkpoint_dir);
    return *dir ? GB_OK : runplan_no_memory(err);
}
