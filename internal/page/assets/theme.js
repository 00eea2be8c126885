// The theme is set before anything is drawn: this is no module. What was chosen
// is kept by the browser; "system" follows the system.
(() => {
  'use strict';
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const read = () => {
    try {
      return localStorage.getItem('poller-theme') || 'system';
    } catch {
      return 'system'; // a browser that keeps nothing
    }
  };
  let chosen = read();
  const apply = () => {
    const theme = chosen === 'system' ? (dark.matches ? 'dark' : 'light') : chosen;
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new Event('themechange'));
  };
  apply();
  dark.addEventListener('change', apply);
  document.addEventListener('DOMContentLoaded', () => {
    const choice = document.getElementById('theme');
    choice.value = ['light', 'dark'].includes(chosen) ? chosen : 'system';
    choice.addEventListener('change', () => {
      chosen = choice.value;
      try {
        localStorage.setItem('poller-theme', chosen);
      } catch {
        // it lasts as long as the page then
      }
      apply();
    });
  });
})();
