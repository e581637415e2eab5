// Fields of the training form that only some jobs have: data-for-types="finetune distributed", data-for-gpu="true",
// data-for-method="lora". Without this script all fields show, and the service ignores or refuses what does not fit.
function wire(form) {
  const type = form.elements.namedItem("job_type");
  const gpu = form.elements.namedItem("use_gpu");
  const method = form.elements.namedItem("method");
  const builds = () => ["from_scratch", "pretrain"].includes(type.value);
  const update = () => {
    for (const part of form.querySelectorAll("[data-for-types], [data-for-gpu], [data-for-method]")) {
      const { forTypes, forGpu, forMethod } = part.dataset;
      const fits =
        (!forTypes || forTypes.split(" ").includes(type.value)) &&
        (!forGpu || gpu.checked) &&
        (!forMethod || (method.value === forMethod && !builds()));
      part.hidden = !fits;
    }
  };
  form.addEventListener("change", update);
  update();
}

const start = (root) => {
  for (const form of root.querySelectorAll("form[data-training-form]:not([data-wired])")) {
    form.dataset.wired = "1";
    wire(form);
  }
};

start(document);
document.addEventListener("htmx:afterSettle", () => start(document));
