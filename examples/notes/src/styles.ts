import { html } from 'hono/html'

/** Every page's style: text first, light and dark, no assets. `--hue` is the tenant's colour. */
export const styles: ReturnType<typeof html> = html`<style>
  :root {
    color-scheme: light dark;
    --paper: light-dark(#fbfaf7, #16171a);
    --ink: light-dark(#23252b, #e4e2dc);
    --soft: light-dark(#686b73, #989ba4);
    --line: light-dark(#e3e0d8, #2d2f35);
    --field: light-dark(#ffffff, #1d1f23);
    --serif: 'Iowan Old Style', 'Palatino Linotype', Palatino, 'Source Serif 4', Georgia, serif;
  }
  :root, [style] { --accent: light-dark(oklch(48% 0.13 var(--hue)), oklch(78% 0.11 var(--hue))); }
  * { box-sizing: border-box; }
  body {
    max-width: 62rem; margin: 0 auto; padding: clamp(1.5rem, 6vw, 5rem) clamp(1.25rem, 5vw, 3rem);
    background: var(--paper); color: var(--ink);
    font: 1rem/1.6 system-ui, -apple-system, 'Segoe UI', sans-serif; overflow-wrap: anywhere;
  }
  h1, h2, h3, p, ul, ol { margin: 0; padding: 0; }
  ul, ol { list-style: none; }
  h1 { font: 500 clamp(2.2rem, 6vw, 3.4rem)/1.1 var(--serif); letter-spacing: -0.02em; }
  h2 { color: var(--soft); font-size: 0.78rem; font-weight: 600; letter-spacing: 0.1em; text-transform: uppercase; }
  h3 { font: 600 1.3rem/1.3 var(--serif); }
  a { color: inherit; text-decoration-color: var(--accent); text-underline-offset: 0.2em; }
  header { border-bottom: 2px solid var(--accent); padding-bottom: 1.5rem; margin-bottom: 2.5rem; }
  .eyebrow { color: var(--accent); font-size: 0.9rem; margin-bottom: 0.6rem; }
  .lead { font: 1.25rem/1.5 var(--serif); max-width: 34rem; }
  .quiet { color: var(--soft); font-size: 0.85rem; }
  .columns { display: grid; gap: 3rem 4rem; }
  @media (min-width: 48rem) { .columns { grid-template-columns: minmax(0, 1fr) 17rem; } }
  form { display: grid; gap: 0.8rem; padding: 1.2rem 0 2rem; }
  label { display: grid; gap: 0.25rem; color: var(--soft); font-size: 0.85rem; }
  input, textarea {
    width: 100%; padding: 0.55rem 0.7rem; border: 1px solid var(--line); border-radius: 0.4rem;
    background: var(--field); color: var(--ink); font: inherit; font-size: 1rem; resize: vertical;
  }
  button {
    justify-self: start; padding: 0.5rem 1.1rem; border: 0; border-radius: 0.4rem; cursor: pointer;
    background: var(--accent); color: var(--paper); font: inherit; font-weight: 600;
  }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  article { padding: 1.4rem 0; border-top: 1px solid var(--line); }
  article .body { white-space: pre-line; margin: 0.3rem 0 0.5rem; max-width: 38rem; }
  aside { display: grid; gap: 2.5rem; align-content: start; }
  aside li { display: grid; padding: 0.65rem 0; border-bottom: 1px solid var(--line); line-height: 1.45; }
  .tag { color: var(--accent); font-size: 0.75rem; }
  .tenants { margin-top: 2rem; }
  .tenants li { display: grid; gap: 0.2rem; padding: 1.2rem 0; border-top: 1px solid var(--line); }
  .tenants li > a { font: 600 1.5rem/1.3 var(--serif); color: var(--accent); }
  .row { display: flex; flex-wrap: wrap; gap: 0.8rem; align-items: end; }
  .row form { padding: 0; }
  .tenants strong { color: var(--soft); font: 600 1.5rem/1.3 var(--serif); }
  [role=alert]:not(:empty) { color: light-dark(#a4262c, #ff9a9e); padding-bottom: 0.8rem; }
  button.plain { padding: 0.25rem 0.7rem; background: none; color: var(--accent); border: 1px solid var(--line); }
  footer { margin-top: 4rem; padding-top: 1.2rem; border-top: 1px solid var(--line); max-width: 38rem; }
</style>`
