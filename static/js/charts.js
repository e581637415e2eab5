// Charts: <div class="js-chart" data-chart-url="…" data-chart-kind="line|bar|histogram|graph" data-chart-poll="2">.
//
// The address answers JSON of one of these shapes:
//   line       {"series": [{"name", "points": [[x, y], …], "unit"?}], "xLabel"?, "yLabel"?, "active"?: bool}
//   bar        {"categories": […], "series": [{"name", "values": […], "low"?: […], "high"?: […]}], "yLabel"?}
//   histogram  {"bins": [{"from", "to", "count"}], "xLabel"?}
//   graph      {"nodes": [{"id", "label", "kind", "status"?, "tone"?, "url"?, "current"?}],
//               "edges": [{"source", "target", "relation"?}]}   (drawn left to right, every node a link)
// The API's envelope is understood too ({"data": …}). With data-chart-poll it asks again every so many seconds until
// the answer says "active": false. Small data can be on the page: data-chart-source="id of a json_script".
import { drawLineage } from "./lineage.js";

let library;

function load() {
  library ??= new Promise((resolve, reject) => {
    if (window.echarts) return resolve(window.echarts);
    const script = document.createElement("script");
    script.src = document.body.dataset.echarts;
    script.onload = () => resolve(window.echarts);
    script.onerror = reject;
    document.head.append(script);
  });
  return library;
}

const PALETTE = {
  light: ["#2f55c8", "#0f8a6d", "#c2610c", "#8b3fb8", "#b3344d", "#0b7fa8", "#6f7d1c", "#5a6478"],
  dark: ["#86a4ff", "#4fd0a7", "#f5a65b", "#cf97f0", "#f38da0", "#5cc6ea", "#c3d15a", "#aab3c5"],
};

// Colours come from our own CSS. They are resolved through a 1-pixel canvas because the tokens are oklch().
function ink() {
  const probe = document.createElement("span");
  document.body.append(probe);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const resolve = (name) => {
    probe.style.color = `var(${name})`;
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = getComputedStyle(probe).color;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return `rgba(${r},${g},${b},${a / 255})`;
  };
  const theme = document.documentElement.getAttribute("data-bs-theme") === "dark" ? "dark" : "light";
  const found = {
    text: resolve("--lp-ink"), soft: resolve("--lp-ink-soft"), line: resolve("--lp-line"),
    surface: resolve("--lp-surface"), sunken: resolve("--lp-sunken"), strong: resolve("--lp-line-strong"),
    palette: PALETTE[theme],
  };
  probe.remove();
  return found;
}

function base(colours) {
  return {
    animation: false,
    color: colours.palette,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: colours.text, fontSize: 12 },
    aria: { enabled: true },
    // The HTML tooltip writes style attributes, which our Content-Security-Policy refuses; rich text is drawn.
    tooltip: {
      renderMode: "richText", confine: true, backgroundColor: colours.surface, borderColor: colours.strong,
      textStyle: { color: colours.text, fontSize: 12 },
    },
    grid: { left: 8, right: 16, top: 36, bottom: 8, containLabel: true },
    legend: { type: "scroll", top: 0, left: 0, itemWidth: 14, itemHeight: 8, textStyle: { color: colours.soft }, pageTextStyle: { color: colours.soft }, pageIconColor: colours.soft },
  };
}

function axis(colours, extra) {
  return {
    axisLine: { lineStyle: { color: colours.line } }, axisTick: { show: false },
    axisLabel: { color: colours.soft, hideOverlap: true }, nameTextStyle: { color: colours.soft },
    splitLine: { lineStyle: { color: colours.line } }, ...extra,
  };
}

const short = (value) => {
  if (typeof value !== "number" || Number.isInteger(value)) return typeof value === "number" ? value.toLocaleString("en") : value;
  return Math.abs(value) >= 100 ? value.toFixed(1) : Number(value.toPrecision(4)).toString();
};

const BUILD = {
  line(data, colours) {
    const many = data.series.length > 1;
    return {
      ...base(colours),
      tooltip: { ...base(colours).tooltip, trigger: "axis", valueFormatter: short },
      xAxis: axis(colours, { type: "value", name: data.xLabel ?? "", nameLocation: "middle", nameGap: 24, min: "dataMin", max: "dataMax", splitLine: { show: false } }),
      yAxis: axis(colours, { type: "value", scale: true, name: many ? "" : data.yLabel ?? "" }),
      grid: { ...base(colours).grid, bottom: data.xLabel ? 26 : 8 },
      series: data.series.map((item) => ({
        type: "line", name: item.name, data: item.points, showSymbol: item.points.length < 40, symbolSize: 5,
        lineStyle: { width: 2 }, sampling: "lttb", emphasis: { focus: "series" },
      })),
    };
  },
  bar(data, colours) {
    const series = [];
    const groups = data.series.length;
    data.series.forEach((item, index) => {
      series.push({ type: "bar", name: item.name, data: item.values, barMaxWidth: 34, itemStyle: { borderRadius: [3, 3, 0, 0] } });
      if (item.low && item.high) series.push(whiskers(item, index, groups, colours));
    });
    return {
      ...base(colours),
      tooltip: { ...base(colours).tooltip, trigger: "axis", axisPointer: { type: "shadow" }, valueFormatter: short },
      legend: { ...base(colours).legend, data: data.series.map((item) => item.name), show: groups > 1 },
      xAxis: axis(colours, { type: "category", data: data.categories, splitLine: { show: false } }),
      yAxis: axis(colours, { type: "value", name: data.yLabel ?? "" }),
      series,
    };
  },
  histogram(data, colours) {
    return {
      ...base(colours),
      legend: { show: false },
      grid: { ...base(colours).grid, top: 12, bottom: data.xLabel ? 26 : 8 },
      tooltip: { ...base(colours).tooltip, trigger: "axis", axisPointer: { type: "shadow" } },
      xAxis: axis(colours, { type: "category", data: data.bins.map((bin) => bin.label ?? `${short(bin.from)}–${short(bin.to)}`), name: data.xLabel ?? "", nameLocation: "middle", nameGap: 24, splitLine: { show: false } }),
      yAxis: axis(colours, { type: "value", minInterval: 1 }),
      series: [{ type: "bar", name: "count", data: data.bins.map((bin) => bin.count), barCategoryGap: "8%", itemStyle: { borderRadius: [2, 2, 0, 0] } }],
    };
  },
};

// Confidence intervals, drawn over their bars.
function whiskers(item, index, groups, colours) {
  return {
    type: "custom", name: `${item.name} interval`, z: 5, silent: true, tooltip: { show: false },
    encode: { x: 0, y: [1, 2] }, // so that the axis makes room for the whole interval
    data: item.values.map((_, place) => [place, item.low[place], item.high[place]]),
    renderItem(params, api) {
      if (api.value(1) === null || api.value(2) === null || Number.isNaN(api.value(1))) return null;
      const band = api.size([1, 0])[0];
      const width = Math.min(34, (band * 0.8) / groups);
      const shift = (index - (groups - 1) / 2) * width * 1.3;
      const low = api.coord([api.value(0), api.value(1)]);
      const high = api.coord([api.value(0), api.value(2)]);
      const x = low[0] + shift;
      const style = { stroke: colours.text, lineWidth: 1.5 };
      const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style });
      return { type: "group", children: [line(x, low[1], x, high[1]), line(x - 5, low[1], x + 5, low[1]), line(x - 5, high[1], x + 5, high[1])] };
    },
  };
}

function isEmpty(kind, data) {
  if (!data) return true;
  if (kind === "histogram") return !data.bins?.length;
  if (kind === "graph") return !data.nodes?.length;
  return !data.series?.length || data.series.every((item) => !(item.points ?? item.values)?.length);
}

class Chart {
  constructor(element) {
    this.element = element;
    this.kind = element.dataset.chartKind ?? "line";
    this.redraw = () => this.data && this.draw(this.data);
    document.addEventListener("portal:theme", this.redraw);
    this.resizer = new ResizeObserver(() => this.chart?.resize());
    this.resizer.observe(element);
    this.read();
  }

  async read() {
    if (!this.element.isConnected) return this.end();
    const { chartSource, chartUrl, chartPoll } = this.element.dataset;
    let active = false;
    if (chartSource) {
      this.draw(JSON.parse(document.getElementById(chartSource).textContent));
    } else {
      try {
        const answer = await fetch(chartUrl, { headers: { Accept: "application/json" }, credentials: "same-origin" });
        if (!answer.ok) throw new Error(String(answer.status));
        const body = await answer.json();
        const data = body.data && body.status ? body.data : body;
        active = data.active !== false;
        this.draw(data);
      } catch (error) {
        if (!this.chart) this.say(`The chart's data could not be read (${error.message}).`);
        active = true;
      }
    }
    if (chartPoll && active) setTimeout(() => this.read(), Number(chartPoll) * 1000);
  }

  say(text) {
    this.chart?.dispose();
    this.chart = null;
    this.element.classList.add("is-empty");
    this.element.textContent = text;
  }

  async draw(data) {
    this.data = data;
    if (isEmpty(this.kind, data)) return this.say(this.element.dataset.chartEmpty ?? "Nothing to draw yet.");
    if (this.kind === "graph") {
      this.element.classList.remove("is-empty");
      return drawLineage(this.element, data);
    }
    const echarts = await load();
    if (!this.chart) {
      this.element.classList.remove("is-empty");
      this.element.textContent = "";
      this.chart = echarts.init(this.element, null, { renderer: "canvas" });
    }
    this.chart.setOption(BUILD[this.kind](data, ink()), { notMerge: true });
  }

  end() {
    document.removeEventListener("portal:theme", this.redraw);
    this.resizer.disconnect();
    this.chart?.dispose();
  }
}

export function wireCharts(root) {
  const found = [...root.querySelectorAll(".js-chart:not([data-wired])")];
  if (root.matches?.(".js-chart:not([data-wired])")) found.push(root);
  for (const element of found) {
    element.dataset.wired = "1";
    new Chart(element);
  }
}
