"""The steps of the walk, in order; one module each."""

from launcher.demo.context import Step
from launcher.demo.steps import (
    account,
    base_approval,
    base_evaluation,
    base_model,
    chat,
    dataset_approval,
    dataset_checks,
    dataset_upload,
    deployment,
    training,
    tuned_approval,
    tuned_evaluation,
)

STEPS: tuple[Step, ...] = (
    Step("dataset-upload", "Ada uploads support questions and a benchmark", dataset_upload.run),
    Step("dataset-checks", "The checks find personal data; approval is refused", dataset_checks.run),
    Step("dataset-approval", "Ada makes a redacted version; Chen approves it", dataset_approval.run),
    Step("base-model", "Ada registers the base model and uploads its files", base_model.run),
    Step("base-evaluation", "The base model is measured; Ben and Chen review answers", base_evaluation.run),
    Step("base-approval", "Ada cannot approve her own model; Chen does", base_approval.run),
    Step("training", "Ada fine-tunes the model (LoRA on the CPU)", training.run),
    Step("tuned-evaluation", "The tuned model is measured, reviewed and compared", tuned_evaluation.run),
    Step("tuned-approval", "Chen approves the tuned model", tuned_approval.run),
    Step("deployment", "Ada deploys it as support-assistant", deployment.run),
    Step("chat", "The assistant answers, also to an unmodified OpenAI client", chat.run),
    Step("account", "Tokens, CPU hours, cost and the audit chain", account.run),
)
