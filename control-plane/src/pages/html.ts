/** HTML that is escaped by construction: what is not made by `html` comes out as text. */
const built = Symbol('html');

export interface Html {
  readonly [built]: string;
}
export type Fragment = Html | string | number | null | undefined | false | readonly Fragment[];

const replacements: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function toText(fragment: Fragment): string {
  if (fragment === null || fragment === undefined || fragment === false) return '';
  if (Array.isArray(fragment)) return fragment.map(toText).join('');
  if (typeof fragment === 'object') return (fragment as Html)[built];
  return String(fragment).replace(/[&<>"']/g, character => replacements[character] ?? '');
}

/** Values may stand between tags or within a quoted attribute; never within a script, a style, or a bare attribute. */
export function html(template: TemplateStringsArray, ...values: Fragment[]): Html {
  return { [built]: template.map((text, index) => text + toText(values[index])).join('') };
}

export const render = (page: Html): string => page[built];

/** A text of our own that goes in as it is, such as a style sheet. */
export const verbatim = (text: string): Html => ({ [built]: text });
