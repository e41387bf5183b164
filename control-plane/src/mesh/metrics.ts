/** Networks of clusters that span machines: how many members, and how they reach one another. */
import { meshPath } from '@iocloud/contracts';
import { gauge, type StateSource, setAll } from '../platform/index.js';

const members = gauge('iocloud_mesh_members', 'Seats in networks of clusters that span machines');
const paths = gauge('iocloud_mesh_paths', 'How members reach one another, each direction once', ['path']);

export const meshState: StateSource = {
  name: 'mesh',
  read: async db => {
    const { rows } = await db.query<{ members: number }>(
      'SELECT count(*)::int AS members FROM mesh_members WHERE left_at IS NULL',
    );
    members.set(rows[0]?.members ?? 0);
    const { rows: found } = await db.query<{ path: string; paths: number }>(
      `SELECT path->>'path' AS path, count(*)::int AS paths FROM mesh_members, jsonb_array_elements(paths) AS path
       WHERE left_at IS NULL GROUP BY 1`,
    );
    setAll(
      paths,
      meshPath.options.map(path => ({ labels: { path }, value: found.find(row => row.path === path)?.paths ?? 0 })),
    );
  },
};
