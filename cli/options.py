"""Words of the command line that several commands share."""

TASK_HELP = "The task: ner, pos, dep, nli, qa, topic or sentiment."
RECIPE_HELP = "bistil, nodistil, minilmv2, distilmbert, scratch"
