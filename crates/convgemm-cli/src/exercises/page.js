// The states are all in the page; this only chooses which one is shown.
for (const player of document.querySelectorAll("figure.player")) {
  const states = [...player.querySelectorAll("[data-step]")];
  const slider = player.querySelector("input");
  const play = player.querySelector("[data-do=play]");
  const count = Number(slider.max) + 1;
  let timer = 0;
  const show = (step) => {
    slider.value = step;
    player.dataset.at = step;
    for (const state of states) {
      const on = Number(state.dataset.step) === step;
      if (state instanceof SVGElement) state.style.display = on ? "" : "none";
      else state.hidden = !on;
    }
  };
  const move = (by) => show((Number(slider.value) + by + count) % count);
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
  player.querySelector("[data-do=back]").addEventListener("click", () => { stop(); move(-1); });
  player.querySelector("[data-do=next]").addEventListener("click", () => { stop(); move(1); });
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Pause";
    move(1);
    timer = setInterval(() => move(1), 900);
  });
  show(0);
}
