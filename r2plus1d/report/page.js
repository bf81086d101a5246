// Copyright 2026 the contributors of R(2+1)D for Ascend
// SPDX-License-Identifier: Apache-2.0
'use strict';
// What the page of r2plus1d_report.py does beyond showing: sorting, finding, zooming, playing, saving. Without
// JavaScript all of its figures are there, too.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const fill = (form, values) => form.replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const nameOf = (index) => data.names[index] ?? `class ${index + 1}, not in the list`;

  // ---- data: JSON and CSV --------------------------------------------------------------------------

  function toCsv(rows) {
    const cell = (value) => /[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
    return '\ufeff' + rows.map((row) => row.map(cell).join(',') + '\r\n').join('');  // the mark is for Excel
  }

  const writers = {
    json: () => ['report.json', 'application/json', JSON.stringify(data, null, 1)],
    videos: () => ['videos.csv', 'text/csv', toCsv([
      ['video', 'class', 'predicted', 'right', 'probability'],
      ...data.videos.map(([video, label, predicted, probability]) =>
        [video, nameOf(label), nameOf(predicted), label === predicted ? 1 : 0, probability])])],
    classes: () => ['classes.csv', 'text/csv', toCsv([
      ['number', 'class', 'right', 'videos', 'accuracy', 'low', 'high'],
      ...data.classes.map((row) => [row.class + 1, nameOf(row.class), row.right, row.videos,
        (row.right / row.videos).toFixed(4), ...row.interval.map((bound) => bound.toFixed(4))])])],
  };

  for (const button of all('[data-save]')) {
    button.addEventListener('click', () => {
      const [name, type, text] = writers[button.dataset.save]();
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([text], {type}));
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }

  // ---- table of classes ----------------------------------------------------------------------------

  const classRows = all('#class-table tbody tr');

  function sortBy(header) {
    const column = [...header.parentNode.children].indexOf(header);
    const direction = header.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
    const value = (row) => row.children[column].dataset.value ?? row.children[column].textContent;
    classRows.sort((a, b) => direction * value(a).localeCompare(value(b), undefined, {numeric: true}));
    if (header.classList.contains('number')) {
      classRows.sort((a, b) => direction * (value(a) - value(b)));
    }
    all('th', header.parentNode).forEach((th) => th.hasAttribute('aria-sort') && th.setAttribute('aria-sort', 'none'));
    header.setAttribute('aria-sort', direction === 1 ? 'ascending' : 'descending');
    document.querySelector('#class-table tbody').append(...classRows);
  }

  all('.sort').forEach((button) => button.addEventListener('click', () => sortBy(button.closest('th'))));

  const findClass = document.getElementById('find-class');
  const onlyWrong = document.getElementById('only-wrong');
  const classCount = document.getElementById('class-count');

  function filterClasses() {
    const words = findClass.value.trim().toLowerCase();
    for (const row of classRows) {
      const found = row.textContent.toLowerCase().includes(words);
      row.hidden = !found || (onlyWrong.checked && !('wrong' in row.dataset));
    }
    const shown = classRows.filter((row) => !row.hidden).length;
    classCount.textContent = fill(classCount.dataset.form, {shown, all: classRows.length});
  }

  findClass.addEventListener('input', filterClasses);
  onlyWrong.addEventListener('change', filterClasses);
  filterClasses();

  // ---- confusion matrix ----------------------------------------------------------------------------

  const matrix = document.getElementById('matrix');
  const drawing = matrix.querySelector('svg');
  const tip = document.getElementById('tip');
  const columns = drawing.viewBox.baseVal.width;
  const rows = drawing.viewBox.baseVal.height;
  const LARGEST = 44;  // pixels of a cell
  let cell = 0;
  let fitted = 0;  // the size of a cell at which the whole matrix is seen

  // Sets the size of a cell, and keeps the point of the drawing that is under (x, y) of the window where it is.
  function setCell(size, x, y) {
    const before = drawing.getBoundingClientRect();
    const share = [(x - before.left) / before.width, (y - before.top) / before.height];
    cell = Math.min(LARGEST, Math.max(fittingCell(0), size));
    matrix.style.setProperty('--cell', `${cell}px`);
    matrix.classList.toggle('tiny', cell < 10);
    matrix.classList.toggle('counted', cell >= 17);
    matrix.classList.toggle('zoomed', cell > 1.01 * fitted);
    const after = drawing.getBoundingClientRect();
    matrix.scrollLeft += after.left + share[0] * after.width - x;
    matrix.scrollTop += after.top + share[1] * after.height - y;
  }

  const room = matrix.parentElement;
  const fittingCell = (names) => Math.min(34, (room.clientWidth - 2 - names) / columns);

  function fit() {
    cell = 10;
    matrix.classList.remove('tiny');
    matrix.style.setProperty('--cell', '10px');
    matrix.style.setProperty('--cell', `${Math.max(10, fittingCell(150))}px`);
    const withNames = fittingCell(matrix.querySelector('.left').offsetWidth);
    fitted = withNames >= 10 ? withNames : fittingCell(0);
    setCell(fitted, 0, 0);
    matrix.scrollTo(0, 0);
  }

  function zoom(factor, x, y) {
    const box = matrix.getBoundingClientRect();
    setCell(cell * factor, x ?? box.left + box.width / 2, y ?? box.top + box.height / 2);
  }

  const zooms = {in: () => zoom(1.5), out: () => zoom(1 / 1.5), fit};
  all('[data-zoom]').forEach((button) => button.addEventListener('click', zooms[button.dataset.zoom]));
  matrix.addEventListener('wheel', (event) => {
    if (event.ctrlKey) {  // as browsers report two fingers on a touchpad, too
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX, event.clientY);
    }
  }, {passive: false});
  matrix.addEventListener('keydown', (event) => {
    const action = {'+': 'in', '=': 'in', '-': 'out', 0: 'fit'}[event.key];
    if (action && !event.ctrlKey && !event.metaKey) {
      zooms[action]();
    }
  });
  drawing.addEventListener('dblclick', (event) => zoom(2, event.clientX, event.clientY));

  const leftNames = all('.left span', matrix);
  const topNames = all('.top span', matrix);

  function cellAt(event) {
    const box = drawing.getBoundingClientRect();
    return [Math.floor((event.clientY - box.top) / box.height * rows),
      Math.floor((event.clientX - box.left) / box.width * columns)];
  }

  const describeCell = (row, column) => fill(tip.dataset.form, {
    true: data.names[row],
    predicted: data.names[column] ?? tip.dataset.other,
    count: data.confusions[row][column],
    total: data.confusions[row].reduce((sum, count) => sum + count, 0),
  });

  function point(event) {
    const [row, column] = cellAt(event);
    all('.here', matrix).forEach((name) => name.classList.remove('here'));
    if (!(row in leftNames) || !(column in topNames)) {
      tip.hidden = true;
      return;
    }
    leftNames[row].classList.add('here');
    topNames[column].classList.add('here');
    tip.textContent = describeCell(row, column);
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${event.clientY + (event.clientY > innerHeight - 60 ? -40 : 18)}px`;
  }

  drawing.addEventListener('pointermove', point);
  drawing.addEventListener('pointerdown', point);
  drawing.addEventListener('pointerleave', () => {
    tip.hidden = true;
    all('.here', matrix).forEach((name) => name.classList.remove('here'));
  });
  document.addEventListener('scroll', () => { tip.hidden = true; }, true);

  // A click on a cell lists its videos. Those without a name are in the last column.
  const cellVideos = document.getElementById('cell-videos');

  function listVideos(event) {
    const [row, column] = cellAt(event);
    const isOf = (predicted) => (column < data.names.length ? predicted === column : predicted >= data.names.length);
    const found = data.videos.filter(([, label, predicted]) => label === row && isOf(predicted));
    cellVideos.hidden = !found.length;
    cellVideos.querySelector('h3').textContent = describeCell(row, column);
    cellVideos.querySelector('ul').replaceChildren(...found.map(([video, , , probability]) => {
      const item = document.createElement('li');
      item.textContent = `${video} (${(100 * probability).toFixed(1)}%)`;
      return item;
    }));
  }

  drawing.addEventListener('click', listVideos);

  // ---- what depends on the width -------------------------------------------------------------------

  function tellOfMore() {
    for (const box of all('.scroll')) {
      const isCut = box.scrollWidth > box.clientWidth + 1;
      box.classList.toggle('cut', isCut);
      box.nextElementSibling.hidden = !isCut;
    }
  }

  let width = 0;
  new ResizeObserver(() => {
    if (room.clientWidth !== width) {
      width = room.clientWidth;
      fit();
      tellOfMore();
    }
  }).observe(room);
  all('details').forEach((part) => part.addEventListener('toggle', tellOfMore));

  // ---- clips ---------------------------------------------------------------------------------------

  const cards = all('.card');
  const FRAME_MS = 320;  // eight frames apart in a video of 25 a second

  function showFrame(card, frame) {
    const slider = card.querySelector('input');
    slider.value = frame;
    card.querySelector('.clip').style.setProperty('--frame', slider.value);
    card.querySelector('output').textContent = `${Number(slider.value) + 1}/${Number(slider.max) + 1}`;
  }

  function setPlaying(card, playing) {
    card.querySelector('.play').setAttribute('aria-pressed', playing);
    clearInterval(card.timer);
    if (playing) {
      const slider = card.querySelector('input');
      card.timer = setInterval(() => showFrame(card, (Number(slider.value) + 1) % (Number(slider.max) + 1)), FRAME_MS);
    }
  }

  const isPlaying = (card) => card.querySelector('.play').getAttribute('aria-pressed') === 'true';

  for (const card of cards) {
    card.querySelector('.play').addEventListener('click', () => setPlaying(card, !isPlaying(card)));
    card.querySelector('input').addEventListener('input', (event) => {
      setPlaying(card, false);
      showFrame(card, event.target.value);
    });
  }

  const shows = all('[data-show]');
  const findClip = document.getElementById('find-clip');
  const playAll = document.getElementById('play-all');

  function filterClips() {
    const kind = shows.find((button) => button.getAttribute('aria-pressed') === 'true').dataset.show;
    const words = findClip.value.trim().toLowerCase();
    for (const card of cards) {
      const found = card.textContent.toLowerCase().includes(words);
      card.hidden = !found || (kind !== 'all' && !card.classList.contains(kind));
    }
  }

  for (const button of shows) {
    button.addEventListener('click', () => {
      shows.forEach((other) => other.setAttribute('aria-pressed', other === button));
      filterClips();
    });
  }
  findClip?.addEventListener('input', filterClips);
  playAll?.addEventListener('click', () => {
    const start = !cards.some(isPlaying);
    cards.forEach((card) => setPlaying(card, start && !card.hidden));
    playAll.textContent = start ? playAll.dataset.stop : playAll.dataset.play;
  });
})();
