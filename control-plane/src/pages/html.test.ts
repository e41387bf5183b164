import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { html, render } from './html.js';

describe('html', () => {
  test('text from elsewhere cannot become markup, between tags or within an attribute', () => {
    const evil = `"><script>alert('x')</script>&`;
    expect(render(html`<a title="${evil}">${evil}</a>`)).toBe(
      '<a title="&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;">' +
        '&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;</a>',
    );
  });

  test('whatever the text, no angle bracket or quote of it comes through', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        expect(render(html`${text}`)).not.toMatch(/[<>"']/);
      }),
    );
  });

  test('fragments nest without being escaped twice, and what is absent leaves nothing', () => {
    const rows = ['a', '<b>'].map(cell => html`<td>${cell}</td>`);
    expect(render(html`<tr>${rows}${null}${undefined}${false}${0}</tr>`)).toBe(
      '<tr><td>a</td><td>&lt;b&gt;</td>0</tr>',
    );
  });

  test('an object that only looks like a fragment is not taken for one', () => {
    const fake = JSON.parse('{"html":"<b>"}') as never;
    expect(render(html`${fake}`)).not.toContain('<b>');
  });
});
