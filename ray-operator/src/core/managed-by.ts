/** Whether an object is left to this operator: `managedBy` may name another controller. */
export const isOurs = ({ managedBy }: { managedBy?: string | undefined }): boolean =>
  managedBy === undefined || managedBy === 'ray.io/kuberay-operator';
