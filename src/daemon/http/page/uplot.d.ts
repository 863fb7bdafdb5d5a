/** What the daemon serves as /assets/uplot.js: the chart library, under the name by which the page asks for it. */
export { default } from 'uplot';
