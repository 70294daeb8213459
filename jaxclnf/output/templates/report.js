const grid = document.getElementById("cards");
const viewer = document.getElementById("viewer");
const picture = viewer.querySelector("img"), film = viewer.querySelector("video");
const links = {full: document.getElementById("drawn"), original: document.getElementById("original")};
let shown = null;

// Cards in the order of a property, and those alone whose names hold a text.
if (grid) {
  const buttons = [...document.querySelectorAll(".controls [data-key]")];
  const value = (card, key) => isNaN(card.dataset[key]) ? 0.5 : +card.dataset[key];
  function sortBy(button) {
    const key = button.dataset.key, way = +button.dataset.way;
    const sorted = [...grid.children].sort((a, b) =>
      way * (value(a, key) - value(b, key)) || a.dataset.order - b.dataset.order);
    grid.append(...sorted);
    buttons.forEach(b => b.setAttribute("aria-pressed", b === button));
  }
  buttons.forEach(b => b.addEventListener("click", () => sortBy(b)));
  document.getElementById("filter").addEventListener("input", event => {
    const text = event.target.value.toLowerCase();
    for (const card of grid.children) card.hidden = !card.dataset.path.toLowerCase().includes(text);
  });
  sortBy(buttons[0]);
}

// A card's picture as it was drawn, or its video at that time, and the face's numbers.
function show(card, time) {
  const course = card.closest(".course"), small = card.querySelector("img");
  document.querySelectorAll(".here").forEach(c => c.classList.remove("here"));
  card.classList.add("here");
  shown = card;
  const at = time === undefined ? +card.dataset.time : time;
  const title = viewer.querySelector("h2");
  title.textContent = course ? `${course.dataset.name}, ${at.toFixed(2)} s` : card.dataset.name;
  title.title = card.dataset.path;
  viewer.querySelector(".side p").textContent = course ? card.dataset.name : card.dataset.path;
  const table = viewer.querySelector("table");
  table.replaceChildren(...JSON.parse(card.dataset.numbers).map(([name, value]) => {
    const row = document.createElement("tr");
    for (const text of [name, value]) row.appendChild(document.createElement("td")).textContent = text;
    return row;
  }));
  const still = small ? small.src : "";
  picture.onerror = () => { picture.onerror = null; picture.src = still; };
  film.onerror = () => { film.hidden = true; picture.hidden = !still; picture.src = still; };
  const moves = course && course.dataset.film;
  film.hidden = !moves;
  picture.hidden = Boolean(moves) || !still;
  if (moves) {
    film.poster = still;
    if (film.dataset.of !== moves) { film.src = moves; film.dataset.of = moves; }
    film.currentTime = Math.max(at - +course.dataset.start, 0) + 0.001;
  } else {
    picture.src = card.dataset.full || still;
  }
  for (const name of ["full", "original"]) {
    links[name].hidden = Boolean(course) || !card.dataset[name];
    links[name].href = card.dataset[name];
  }
  links.full.textContent = "as drawn";
  if (course) mark(course, at);
  if (!viewer.open) viewer.showModal();
}

function others() {
  const cards = [...(shown.closest(".strip") || grid).children].filter(card => !card.hidden);
  return [cards, cards.indexOf(shown)];
}

function go(step) {
  const [cards, i] = others();
  if (cards[i + step]) { show(cards[i + step]); cards[i + step].scrollIntoView({block: "nearest", inline: "center"}); }
}

picture.addEventListener("load", () => {
  links.full.textContent = `as drawn, ${picture.naturalWidth} × ${picture.naturalHeight} pixels`;
});
document.addEventListener("click", event => {
  const card = event.target.closest(".card");
  if (card) show(card);
});
document.addEventListener("keydown", event => {
  if (event.key === "Enter" && event.target.classList.contains("card")) show(event.target);
  if (viewer.open && event.key === "ArrowLeft" && event.target !== film) go(-1);
  if (viewer.open && event.key === "ArrowRight" && event.target !== film) go(1);
});
viewer.addEventListener("click", event => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => film.pause());
document.getElementById("before").onclick = () => go(-1);
document.getElementById("next").onclick = () => go(1);
document.getElementById("close").onclick = () => viewer.close();

// A video's drawing: a click goes to the frame, a face of the legend comes and goes.
function mark(course, time) {
  const {start, end} = course.dataset, cursor = course.querySelector(".cursor");
  const share = end > start || +end > +start ? (time - start) / (end - start) : 0;
  cursor.hidden = false;
  cursor.style.left = `${100 * (SPAN[0] + share * (SPAN[1] - SPAN[0]))}%`;
}

for (const course of document.querySelectorAll(".course")) {
  const plot = course.querySelector(".plot"), cards = [...course.querySelectorAll(".card")];
  const [start, end] = [+course.dataset.start, +course.dataset.end];
  plot.addEventListener("click", event => {
    const box = plot.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width - SPAN[0]) / (SPAN[1] - SPAN[0]);
    const time = start + Math.min(Math.max(share, 0), 1) * (end - start);
    const near = card => Math.abs(card.dataset.time - time);
    const nearest = cards.reduce((a, b) => near(b) < near(a) ? b : a, cards[0]);
    if (nearest) { nearest.scrollIntoView({block: "nearest", inline: "center"}); show(nearest, time); }
  });
  film.addEventListener("timeupdate", () => {
    if (shown && shown.closest(".course") === course) mark(course, film.currentTime + start);
  });
  const faces = [...course.querySelectorAll(".legend button")];
  function see(face, on) {
    face.setAttribute("aria-pressed", on);
    for (const line of plot.querySelectorAll(`[id^="line-${face.dataset.face}-"]`)) line.style.display = on ? "" : "none";
  }
  for (const face of faces)
    face.addEventListener("click", () => see(face, face.getAttribute("aria-pressed") === "false"));
  for (const all of course.querySelectorAll(".all"))
    all.addEventListener("click", () => faces.forEach(face => see(face, all.dataset.on === "true")));
}
