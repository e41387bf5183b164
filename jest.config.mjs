// Tests run the TypeScript sources as native ES modules, so that what is tested is what is written;
// end-to-end tests start the built programs as processes of their own.
const shared = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' } },
    ],
  },
  moduleNameMapper: {
    '^@iocloud/contracts/wire$': '<rootDir>/contracts/src/wire/index.ts',
    '^@iocloud/(contracts|control-plane|worker-bootstrap|cli|ray-operator|dashboards)$': '<rootDir>/$1/src/index.ts',
    '^@iocloud/control-plane/core/(\\w+)$': '<rootDir>/control-plane/src/core/$1/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  modulePathIgnorePatterns: ['<rootDir>/.*/dist/', '<rootDir>/.iocloud/'],
};

export default {
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: [
        '<rootDir>/{contracts,control-plane,worker-bootstrap,cli,ray-operator,dashboards}/src/**/*.test.ts',
        '<rootDir>/e2e/simulator/**/*.test.ts',
      ],
      testPathIgnorePatterns: ['\\.integration\\.test\\.ts$'],
    },
    {
      ...shared,
      displayName: 'integration',
      // Servers are started in hooks: on a busy machine that takes longer than the usual 5 s. (A project's own
      // `testTimeout` is not heeded.)
      setupFilesAfterEnv: ['<rootDir>/scripts/jest-patience.mjs'],
      testMatch: [
        '<rootDir>/{contracts,control-plane,worker-bootstrap,cli,ray-operator}/src/**/*.integration.test.ts',
        '<rootDir>/e2e/kubernetes/**/*.integration.test.ts',
      ],
    },
    { ...shared, displayName: 'e2e', testMatch: ['<rootDir>/e2e/src/**/*.test.ts'] },
  ],
};
