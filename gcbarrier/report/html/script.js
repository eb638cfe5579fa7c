"use strict";
// Tables that sort and figures that zoom. Without it the page says the same.
document.documentElement.classList.add("scripted");

// A place's number is what is behind its words (data-value); what has neither comes last, whichever way.
const valued = (place) => ("value" in place.dataset ? Number(place.dataset.value) : null);
const said = (place) => (place.textContent === "\u2013" ? "" : place.textContent);

const compared = (one, other, sign) => {
  const [a, b] = [valued(one), valued(other)];
  if (a !== null && b !== null) return sign * (a === b ? 0 : a < b ? -1 : 1);
  if (a !== null || b !== null) return a === null ? 1 : -1;
  const [first, second] = [said(one), said(other)];
  if (!first || !second) return (first ? 0 : 1) - (second ? 0 : 1);
  return sign * first.localeCompare(second, "en", { numeric: true });
};

const sortable = (table) => {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const asPrinted = [...body.rows];

  // "ascending", "descending", or "" as it was printed.
  const sort = (column, way) => {
    const sign = way === "descending" ? -1 : 1;
    const rows = [...asPrinted];
    if (way) rows.sort((one, other) => compared(one.cells[column], other.cells[column], sign));
    body.append(...rows);
    heads.forEach((head, at) => {
      if (way && at === column) head.setAttribute("aria-sort", way);
      else head.removeAttribute("aria-sort");
    });
    table.classList.toggle("sorted", Boolean(way));
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      sort(column, !before ? "ascending" : before === "ascending" ? "descending" : "");
    });
  });
};

const zoomable = (figure) => {
  const view = figure.querySelector(".window");
  const svg = view.querySelector("svg");
  const whole = svg.getAttribute("viewBox").split(" ").map(Number);
  const most = 40;
  let [x, y, width, height] = whole;

  const show = () => {
    // It never leaves the sheet.
    x = Math.min(Math.max(x, whole[0]), whole[0] + whole[2] - width);
    y = Math.min(Math.max(y, whole[1]), whole[1] + whole[3] - height);
    svg.setAttribute("viewBox", [x, y, width, height].join(" "));
    figure.classList.toggle("zoomed", width < whole[2]);
  };
  // By a factor, with the place at these shares of the picture kept where it is.
  const zoom = (factor, across = 0.5, down = 0.5) => {
    const times = Math.min(Math.max((whole[2] / width) * factor, 1), most);
    const [wider, higher] = [whole[2] / times, whole[3] / times];
    x += (width - wider) * across;
    y += (height - higher) * down;
    [width, height] = [wider, higher];
    show();
  };
  const move = (across, down) => {
    x += across * width;
    y += down * height;
    show();
  };
  const reset = () => {
    [x, y, width, height] = whole;
    show();
  };
  const at = (event) => {
    const box = svg.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };

  const step = 1.5;
  const acts = { in: () => zoom(step), out: () => zoom(1 / step), 0: reset };
  for (const button of figure.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", acts[button.dataset.zoom]);
  }
  const keys = {
    "+": acts.in, "=": acts.in, "-": acts.out, 0: reset, Escape: reset,
    ArrowLeft: () => move(-0.1, 0), ArrowRight: () => move(0.1, 0),
    ArrowUp: () => move(0, -0.1), ArrowDown: () => move(0, 0.1),
  };
  view.addEventListener("keydown", (event) => {
    // Of a whole figure arrows scroll the page, as everywhere.
    const scrolls = event.key.startsWith("Arrow") && width === whole[2];
    if (!keys[event.key] || scrolls || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * 0.004), ...at(event));
  }, { passive: false });
  view.addEventListener("dblclick", (event) => zoom(event.shiftKey ? 1 / step : step * step, ...at(event)));

  const held = new Map();
  view.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, at(event));
    if (width < whole[2] || held.size > 1) {
      event.preventDefault();
      view.focus({ preventScroll: true });
      view.setPointerCapture(event.pointerId);
      view.classList.add("held");
    }
  });
  view.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const now = at(event);
    const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
    held.set(event.pointerId, now);
    if (other) {
      const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]);
      if (apart(before)) zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else if (width < whole[2]) {
      move(before[0] - now[0], before[1] - now[1]);
    }
  });
  const release = (event) => {
    held.delete(event.pointerId);
    if (!held.size) view.classList.remove("held");
  };
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) view.addEventListener(name, release);
};

const savable = (manifest) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Save as manifest.json";
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([manifest.querySelector("pre").textContent], { type: "application/json" }));
    link.download = "manifest.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  manifest.querySelector("pre").before(button);
};

document.querySelectorAll("details.manifest").forEach(savable);
document.querySelectorAll("table[id]").forEach(sortable);
document.querySelectorAll("figure[data-figure]").forEach(zoomable);
